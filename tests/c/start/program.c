/** @file
 * A program that is started with privileges: it writes down what it finds, for a test to judge.
 *
 * The first argument that begins with "report=" is a file for the report, else it is standard output; one that
 * begins with "exit=" is what the program answers; with "brief" it answers at once. TrustedError writes to standard error.
 */

#define _GNU_SOURCE
#define IN_RING3
#include <VBox/sup.h>

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

FNSUPTRUSTEDMAIN  TrustedMain;
FNSUPTRUSTEDERROR TrustedError;

/** What libsup.so has for a start program; nobody else calls it. */
extern int supR3PreInit(const void *pvData, uint32_t fFlags);

/** What stands behind a prefix in the arguments, or NULL. */
static const char *argument(int argc, char **argv, const char *pszPrefix)
{
    int i;
    for (i = 0; i < argc; i++)
        if (!strncmp(argv[i], pszPrefix, strlen(pszPrefix)))
            return argv[i] + strlen(pszPrefix);
    return NULL;
}

/** Copies the lines of /proc/self/status that say what this process may do. */
static void reportStatus(FILE *pReport)
{
    static const char * const s_apszNames[] = { "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapAmb:", "NoNewPrivs:" };
    char   szLine[1024];
    size_t i;
    FILE  *pStatus = fopen("/proc/self/status", "r");

    while (pStatus && fgets(szLine, sizeof(szLine), pStatus))
        for (i = 0; i < sizeof(s_apszNames) / sizeof(s_apszNames[0]); i++)
            if (!strncmp(szLine, s_apszNames[i], strlen(s_apszNames[i])))
                fputs(szLine, pReport);
    if (pStatus)
        fclose(pStatus);
}

static void reportLimit(FILE *pReport, const char *pszName, int iResource)
{
    struct rlimit Limit;
    if (getrlimit(iResource, &Limit) == 0)
        fprintf(pReport, "limit %s=%lld/%lld\n", pszName, (long long)Limit.rlim_cur, (long long)Limit.rlim_max);
}

/** How many descriptors are the driver's device. */
static unsigned countDevices(void)
{
    char     szName[32], szTarget[64];
    unsigned cDevices = 0;
    int      i;
    for (i = 0; i < 64; i++)
    {
        ssize_t cch;
        snprintf(szName, sizeof(szName), "/proc/self/fd/%d", i);
        cch = readlink(szName, szTarget, sizeof(szTarget) - 1);
        szTarget[cch > 0 ? cch : 0] = '\0';
        cDevices += strcmp(szTarget, "/dev/supdrv") == 0;
    }
    return cDevices;
}

DECLEXPORT(int) TrustedMain(int argc, char **argv, char **envp)
{
    static const char s_abNothing[256];
    const char   *pszReport = argument(argc, argv, "report=");
    const char   *pszExit   = argument(argc, argv, "exit=");
    uid_t         uid, euid, suid;
    gid_t         gid, egid, sgid;
    struct stat   Stat;
    int           i;
    FILE         *pReport = pszReport ? fopen(pszReport, "w") : stdout;

    if (!pReport)
        return 99;
    if (argument(argc, argv, "brief"))
        return 0;
    for (i = 0; i < argc; i++)
        fprintf(pReport, "argument %d=%s\n", i, argv[i]);
    fprintf(pReport, "argument %d %s\n", argc, argv[argc] ? "is another" : "is none");
    for (i = 0; envp[i]; i++)
        fprintf(pReport, "variable %s\n", envp[i]);
    fprintf(pReport, "environment is %s\n", envp == environ ? "one" : "two");

    getresuid(&uid, &euid, &suid);
    getresgid(&gid, &egid, &sgid);
    fprintf(pReport, "ids=%u,%u,%u %u,%u,%u\n", uid, euid, suid, gid, egid, sgid);
    fprintf(pReport, "root=%d\n", setuid(0));
    reportStatus(pReport);
    fprintf(pReport, "dumpable=%d\n", prctl(PR_GET_DUMPABLE));
    reportLimit(pReport, "core", RLIMIT_CORE);
    reportLimit(pReport, "files", RLIMIT_NOFILE);
    reportLimit(pReport, "size", RLIMIT_FSIZE);
    for (i = 0; i < 64; i++)
        if (i != fileno(pReport) && fstat(i, &Stat) == 0)
            fprintf(pReport, "descriptor %d %s\n", i, fcntl(i, F_GETFD) & FD_CLOEXEC ? "is closed by exec" : "is inherited");

    /* What the start has verified is known, and it says so once. */
    fprintf(pReport, "verified=%d\n", SUPR3HardenedVerifyFile("/usr/bin/supctl", "supctl", NULL));
    fprintf(pReport, "handed=%d\n", supR3PreInit(s_abNothing, 0));
    /* The device that was handed over is used by the first session, and by no other. */
    fprintf(pReport, "devices=%u\n", countDevices());
    for (i = 0; i < 2; i++)
    {
        int rc = SUPR3Init(NULL);
        fprintf(pReport, "session %d=%d\n", i, rc);
        if (rc >= 0)
            SUPR3Term(0);
    }
    fprintf(pReport, "devices then=%u\n", countDevices());
    if (pszReport)
        fclose(pReport);
    else
        fflush(pReport);
    return pszExit ? atoi(pszExit) : 0;
}

DECLEXPORT(void) TrustedError(const char *pszWhere, SUPINITOP enmWhat, int rc, const char *pszMsgFmt, va_list va)
{
    char szMessage[2048];
    vsnprintf(szMessage, sizeof(szMessage), pszMsgFmt, va);
    fprintf(stderr, "TrustedError uid=%u euid=%u where=%s what=%d rc=%d: %s\n",
            getuid(), geteuid(), pszWhere, (int)enmWhat, rc, szMessage);
}
