/** @file
 * A start program in C: what users start, set-user-id root. All of it is this call.
 *
 * It leaves the device closed, so that it starts on machines without the kernel's driver.
 */

#define IN_RING3
#include <VBox/sup.h>

int main(int argc, char **argv, char **envp)
{
    return SUPR3HardenedMain("start-c", SUPSECMAIN_FLAGS_DONT_OPEN_DEV, argc, argv, envp);
}
