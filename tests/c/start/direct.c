/** @file
 * The same program without privileges: loads both libraries by their paths and calls TrustedMain. Its start is
 * what the start with privileges is measured beside.
 */

#include <dlfcn.h>

int main(int argc, char **argv, char **envp)
{
    int (*pfnMain)(int, char **, char **);
    void *pvLibrary;

    if (!dlopen("/usr/lib/libsup.so.0", RTLD_NOW | RTLD_GLOBAL))
        return 2;
    pvLibrary = dlopen("/usr/lib/supdrv/start-c.so", RTLD_NOW | RTLD_GLOBAL);
    if (!pvLibrary)
        return 3;
    *(void **)&pfnMain = dlsym(pvLibrary, "TrustedMain");
    return pfnMain ? pfnMain(argc, argv, envp) : 4;
}
