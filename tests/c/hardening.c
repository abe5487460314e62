/** @file
 * Files, folders and the own process verified, and libraries loaded only then.
 *
 * What this machine's own files have to answer is found out by looking at them by
 * path, as the original does. No installation is signed here, so no file of one
 * passes.
 */

#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#define VERR_NOT_IMPLEMENTED                    (-12)
#define VERR_NOT_FOUND                          (-78)
#define VERR_NOT_SAME_DEVICE                    (-119)
#define VERR_SUPLIB_PATH_NOT_ABSOLUTE           (-3750)
#define VERR_SUPLIB_PATH_NOT_CLEAN              (-3751)
#define VERR_SUPLIB_PATH_TOO_LONG               (-3752)
#define VERR_SUPLIB_PATH_TOO_SHORT              (-3753)
#define VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS    (-3754)
#define VERR_SUPLIB_PATH_IS_ROOT                (-3755)
#define VERR_SUPLIB_STAT_FAILED                 (-3758)
#define VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED  (-3760)
#define VERR_SUPLIB_NOT_DIR_NOT_FILE            (-3761)
#define VERR_SUPLIB_IS_DIRECTORY                (-3762)
#define VERR_SUPLIB_IS_FILE                     (-3763)
#define VERR_SUPLIB_OWNER_NOT_ROOT              (-3765)
#define VERR_SUPLIB_WRITE_NON_SYS_GROUP         (-3766)
#define VERR_SUPLIB_WORLD_WRITABLE              (-3767)
#define VERR_SUPLIB_INVALID_ARGV0_INTERNAL      (-3768)
#define VERR_SUPLIB_INVALID_INTERNAL_APP_DIR    (-3769)

/** What an object has to answer that is fFile or a folder. */
static int judge(const char *pszPath, bool fFile)
{
    struct stat Stat;

    if (lstat(pszPath, &Stat) != 0)
        return VERR_SUPLIB_STAT_FAILED;
    if (Stat.st_uid != 0)
        return VERR_SUPLIB_OWNER_NOT_ROOT;
    if (S_ISLNK(Stat.st_mode))
        return VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED;
    if (!S_ISDIR(Stat.st_mode) && !S_ISREG(Stat.st_mode))
        return VERR_SUPLIB_NOT_DIR_NOT_FILE;
    if (fFile != !!S_ISREG(Stat.st_mode))
        return fFile ? VERR_SUPLIB_IS_DIRECTORY : VERR_SUPLIB_IS_FILE;
    if ((Stat.st_mode & S_IWGRP) && Stat.st_gid != 0)
        return VERR_SUPLIB_WRITE_NON_SYS_GROUP;
    return Stat.st_mode & S_IWOTH ? VERR_SUPLIB_WORLD_WRITABLE : VINF_SUCCESS;
}

/** What a path has to answer that is fFile or a folder: the root and each component are judged. */
static int judgePath(const char *pszPath, bool fFile)
{
    char   szDown[PATH_MAX];
    size_t cch;
    int    rc = judge("/", false);

    for (cch = 1; rc == VINF_SUCCESS && cch <= strlen(pszPath); cch++)
        if (pszPath[cch] == '/' || pszPath[cch] == '\0')
        {
            memcpy(szDown, pszPath, cch);
            szDown[cch] = '\0';
            rc = judge(szDown, fFile && pszPath[cch] == '\0');
        }
    return rc;
}

static void checkPaths(void)
{
    static char s_szMany[128], s_szLong[300];
    char        szText[512];
    RTERRINFO   Info = { RTERRINFO_FLAGS_MAGIC, 0, sizeof(szText), szText, { NULL, NULL } };
    unsigned    i;
    static const struct { const char *pszPath; int rc; } s_aPaths[] =
    {
        { "",                   VERR_SUPLIB_PATH_NOT_ABSOLUTE },
        { "usr/lib/x",          VERR_SUPLIB_PATH_NOT_ABSOLUTE },
        { "/usr/../etc/passwd", VERR_SUPLIB_PATH_NOT_ABSOLUTE },
        { "/usr/lib/..",        VERR_SUPLIB_PATH_NOT_ABSOLUTE },
        { "/",                  VERR_SUPLIB_PATH_IS_ROOT },
        { "/ab",                VERR_SUPLIB_PATH_TOO_SHORT },
        { "//",                 VERR_SUPLIB_PATH_TOO_SHORT },
        { "/usr//lib/x",        VERR_SUPLIB_PATH_NOT_CLEAN },
        { "/usr/./lib",         VERR_SUPLIB_PATH_NOT_CLEAN },
        { "/usr/lib//",         VERR_SUPLIB_PATH_NOT_CLEAN },
        { "/usr/lib/",          VERR_SUPLIB_IS_DIRECTORY },
        { s_szMany,             VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS },
        { s_szLong,             VERR_SUPLIB_PATH_TOO_LONG },
    };

    for (i = 0; i < 33; i++)
        strcat(s_szMany, "/a");
    memset(s_szLong, 'a', 260);
    s_szLong[0] = '/';
    for (i = 0; i < sizeof(s_aPaths) / sizeof(s_aPaths[0]); i++)
    {
        CHECK_RC(SUPR3HardenedVerifyPlugIn(s_aPaths[i].pszPath, &Info), s_aPaths[i].rc);
        CHECK(Info.rc == s_aPaths[i].rc && (Info.fFlags & RTERRINFO_FLAGS_SET));
        CHECK(szText[0] == '\'' && strncmp(szText + 1, s_aPaths[i].pszPath, strlen(s_aPaths[i].pszPath)) == 0);
        CHECK_RC(SUPR3HardenedVerifyPlugIn(s_aPaths[i].pszPath, NULL), s_aPaths[i].rc);
    }
    CHECK_RC(SUPR3HardenedVerifyPlugIn("/usr", &Info), judgePath("/usr", true));
    CHECK_RC(SUPR3HardenedVerifyPlugIn("/tmp/nothing/x.so", &Info), judgePath("/tmp/nothing/x.so", true));
    CHECK_RC(SUPR3HardenedVerifyPlugIn("/dev/null", &Info), judgePath("/dev/null", true));
    CHECK_RC(SUPR3HardenedVerifyPlugIn(NULL, NULL), VERR_INVALID_POINTER);

    CHECK_RC(SUPR3HardenedVerifyDir("/dev", false, false, &Info), judgePath("/dev", false));
    CHECK_RC(SUPR3HardenedVerifyDir("/dev/", false, false, NULL), judgePath("/dev", false));
    CHECK_RC(SUPR3HardenedVerifyDir("/dev/null", false, false, &Info), judgePath("/dev/null", false));
    /* Devices are in it: its entries do not pass whichever way they are asked for. */
    CHECK(SUPR3HardenedVerifyDir("/dev", false, true, NULL) < 0);
    CHECK(SUPR3HardenedVerifyDir("/dev", true, false, &Info) < 0 && (Info.fFlags & RTERRINFO_FLAGS_SET));
    CHECK_RC(SUPR3HardenedVerifyDir("usr", true, true, NULL), VERR_SUPLIB_PATH_NOT_ABSOLUTE);
}

static void checkSelf(const char *pszArgv0)
{
    char szExe[PATH_MAX];

    CHECK(realpath("/proc/self/exe", szExe) != NULL);
    CHECK_RC(SUPR3HardenedVerifySelf(pszArgv0, false, NULL), judgePath(szExe, true));
    CHECK_RC(SUPR3HardenedVerifySelf("hardening", true, NULL), VERR_SUPLIB_INVALID_ARGV0_INTERNAL);
    CHECK_RC(SUPR3HardenedVerifySelf(szExe, true, NULL), VERR_SUPLIB_INVALID_INTERNAL_APP_DIR);
}

static void checkFiles(void)
{
    RTFILE hFile = NULL;

    CHECK_RC(SUPR3HardenedVerifyFile("/usr/bin/supctl", "a program", &hFile), VERR_NOT_IMPLEMENTED);
    CHECK_RC(SUPR3HardenedVerifyFile("/usr/bin/nothing-of-ours", "a program", NULL), VERR_NOT_FOUND);
    CHECK_RC(SUPR3HardenedVerifyFile("/usr/bin/", "a folder", NULL), VERR_NOT_FOUND);
    CHECK_RC(SUPR3HardenedVerifyFile("/nowhere/supctl", "a program", NULL), VERR_NOT_SAME_DEVICE);
    CHECK_RC(SUPR3HardenedVerifyFile(NULL, "nothing", NULL), VERR_INVALID_POINTER);
}

static void checkLibraries(void)
{
    static const char * const s_apszLibraries[] =
    {
        "/usr/lib/x86_64-linux-gnu/libm.so.6", "/usr/lib64/libm.so.6", "/lib/x86_64-linux-gnu/libm.so.6", "/lib/libm.so.6"
    };
    char      szPath[PATH_MAX], szText[512];
    RTERRINFO Info = { RTERRINFO_FLAGS_MAGIC, 0, sizeof(szText), szText, { NULL, NULL } };
    RTLDRMOD  hMod = BAD(RTLDRMOD);
    char      szLong[3076];
    unsigned  i;

    CHECK_RC(SUPR3HardenedLdrLoad(NULL, &hMod, 0, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3HardenedLdrLoad("/x/y.so", NULL, 0, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3HardenedLdrLoad("y.so", &hMod, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK(hMod == NULL);
    CHECK_RC(SUPR3HardenedLdrLoad("/x/y.so", &hMod, 0, &Info), VERR_NOT_FOUND);
    CHECK(Info.rc == VERR_NOT_FOUND && strstr(szText, "/x/y.so"));

    CHECK_RC(SUPR3HardenedLdrLoadAppPriv("y", NULL, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadAppPriv(NULL, &hMod, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadAppPriv("x/y", &hMod, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadAppPriv("nothing-of-ours", &hMod, 0, NULL), VERR_FILE_NOT_FOUND);
    memset(szLong, 'y', sizeof(szLong) - 1);
    szLong[sizeof(szLong) - 1] = '\0';
    CHECK_RC(SUPR3HardenedLdrLoadAppPriv(szLong, &hMod, 0, NULL), VERR_INVALID_PARAMETER);

    CHECK_RC(SUPR3HardenedLdrLoadPlugIn(NULL, &hMod, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadPlugIn("/x/y.so", NULL, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadPlugIn("x/y.so", &hMod, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadPlugIn("/usr/lib/y", &hMod, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3HardenedLdrLoadPlugIn("/dev/null.so", &hMod, &Info), judgePath("/dev/null.so", true));

    for (i = 0; i < sizeof(s_apszLibraries) / sizeof(s_apszLibraries[0]); i++)
        if (realpath(s_apszLibraries[i], szPath) != NULL)
        {
            int const rcExpected = judgePath(szPath, true);
            int const rc = SUPR3HardenedLdrLoadPlugIn(szPath, &hMod, &Info);
#ifdef STATIC
            /* A program that needs no library has no loader. */
            CHECK_RC(rc, rcExpected == VINF_SUCCESS ? VERR_FILE_NOT_FOUND : rcExpected);
            CHECK(rcExpected != VINF_SUCCESS || strstr(szText, "statically"));
#else
            CHECK_RC(rc, rcExpected);
#endif
            CHECK((rc == VINF_SUCCESS) == (hMod != NULL));
            if (rc != VINF_SUCCESS)
                return;
            CHECK(!(Info.fFlags & RTERRINFO_FLAGS_SET));
            CHECK(dlsym(hMod, "cos") != NULL);
            CHECK(dlclose(hMod) == 0);
            return;
        }
    printf("no library could be loaded here\n");
}

int main(int argc, char **argv)
{
    (void)argc;
    /* None of this needs a driver. */
    checkPaths();
    checkSelf(argv[0]);
    checkFiles();
    checkLibraries();
    return checkEnd();
}
