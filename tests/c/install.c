/** @file
 * Installing and uninstalling, as a user who may not: the answer is a status, and nothing changes.
 */

#include "check.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/** What table and library call VERR_PERMISSION_DENIED. */
#define NOT_PERMITTED   (-10)

static int isLoaded(void)
{
    struct stat Stat;
    return stat("/sys/module/supdrv", &Stat) == 0;
}

int main(void)
{
    int const fLoaded = isLoaded();
    int       iStatus = 0;
    pid_t     idChild = fork();
    if (idChild == 0)
    {
        /* Whoever runs the tests as root does not want a driver installed by them. */
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            return 1;
        CHECK_RC(SUPR3Install(), NOT_PERMITTED);
        CHECK_RC(SUPR3Uninstall(), NOT_PERMITTED);
        return checkEnd();
    }
    CHECK(idChild > 0 && waitpid(idChild, &iStatus, 0) == idChild);
    CHECK(WIFEXITED(iStatus) && WEXITSTATUS(iStatus) == 0);
    CHECK(isLoaded() == fLoaded);
    return checkEnd();
}
