// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A client of supdrv: opens a connection, offers a component, and goes without a trace.
 *
 * It is the tutorial for such modules, and the test of supdrv's side: with selftest=1 it tries everything
 * while it is loaded, and refuses to be loaded if an answer is not the expected one. With module= and
 * symbol= it asks for a symbol of a ring-0 module, which then stays loaded as long as the client.
 */
#include <linux/module.h>

#include "supdrv_idc.h"

static bool selftest;
module_param(selftest, bool, 0444);
MODULE_PARM_DESC(selftest, "try everything, and fail if supdrv answers anything else than it should");

static char *module;
module_param(module, charp, 0444);
MODULE_PARM_DESC(module, "ring-0 module to ask for a symbol");

static char *symbol;
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "the symbol of that module");

/* ---- the component ---- */

static const char interface[] = "the client's interface";

/* Who asks for the interface by its name in text form gets it. */
static void *query(const struct SUPDRVFACTORY *factory, struct SUPDRVSESSION *session, const char *uuid)
{
	return strcmp(uuid, "5f0d3b5c-7c0e-4d0e-9a54-3b8a1e6f2c11") ? NULL : (void *)interface;
}

static const struct SUPDRVFACTORY factory = { "supdrv_client", query };

/* Static, as a connection has to be there as long as the module. */
static union SUPDRVIDCHANDLE connection;

/* ---- the test ---- */

#define EXPECT(expression, expected)									\
	do {												\
		long long got = (long long)(expression);						\
		if (got != (long long)(expected)) {							\
			pr_info("supdrv_client: line %d: %s is %lld, not %lld\n", __LINE__,		\
				#expression, got, (long long)(expected));				\
			return -EPROTO;									\
		}											\
	} while (0)

static int destroyed;

static void destructor(void *object, void *user1, void *user2)
{
	if (user1 == &destroyed && user2 == &connection)
		destroyed++;
}

static int try_versions(void)
{
	union SUPDRVIDCHANDLE handle;
	u32 session = 7, driver = 7, revision = 7;

	EXPECT(SUPR0IdcOpen(NULL, 0, 0, NULL, NULL, NULL), VERR_INVALID_POINTER);
	EXPECT(SUPR0IdcOpen(&handle, 0x20000, 0, &session, &driver, &revision), VERR_INVALID_PARAMETER);
	EXPECT(SUPR0IdcOpen(&handle, 0, 0x10001, &session, &driver, &revision), VERR_INVALID_PARAMETER);
	EXPECT(SUPR0IdcOpen(&handle, 0x10001, 0x10001, &session, &driver, &revision), VERR_VERSION_MISMATCH);
	EXPECT(session | driver | revision, 0);
	EXPECT(SUPR0IdcGetSession(&handle), 0);
	EXPECT(SUPR0IdcClose(&handle), VERR_INVALID_HANDLE);
	EXPECT(SUPR0IdcOpen(&handle, 0x10007, 0, &session, &driver, &revision), VINF_SUCCESS);
	EXPECT(session, SUPDRV_IDC_VERSION);
	EXPECT(driver, SUPDRV_IDC_VERSION);
	EXPECT(SUPR0IdcGetSession(&handle) != SUPR0IdcGetSession(&connection), 1);
	EXPECT(SUPR0IdcClose(&handle), VINF_SUCCESS);
	EXPECT(SUPR0IdcClose(&handle), VERR_INVALID_HANDLE);
	return 0;
}

static int try_packets(void)
{
	struct SUPDRVSESSION *const session = SUPR0IdcGetSession(&connection);
	struct supdrv_idc_connect connect = { { sizeof(connect), VERR_WRONG_ORDER, NULL } };
	struct supdrv_idc_header header = { sizeof(header), VERR_WRONG_ORDER, NULL };

	/* Not one of them is a packet. */
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_DISCONNECT, NULL), VERR_INVALID_POINTER);
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_DISCONNECT, &header), VERR_INVALID_PARAMETER);
	EXPECT(SUPDrvLinuxIDC(0xc0ffee00, &header), VERR_INVALID_PARAMETER);
	header.session = (void *)0xdead0000;
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_DISCONNECT, &header), VERR_INVALID_PARAMETER);
	header.session = session;
	EXPECT(SUPDrvLinuxIDC(0xc0ffee00, &header), VERR_NOT_SUPPORTED);
	EXPECT(header.status, VERR_WRONG_ORDER);
	header.bytes++;
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_DISCONNECT, &header), VERR_INVALID_PARAMETER);
	EXPECT(header.status, VERR_INVALID_PARAMETER);

	/* No magic; another major number, which only the driver can judge; in a session. */
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_CONNECT, &connect.header), VERR_INVALID_PARAMETER);
	EXPECT(connect.header.status, VERR_INVALID_PARAMETER);
	connect.in.magic = SUPDRV_IDC_MAGIC;
	connect.in.requested = 0x20000;
	connect.in.minimum = 0x20000;
	EXPECT(SUPDrvLinuxIDC(SUPDRV_IDC_CONNECT, &connect.header), VINF_SUCCESS);
	EXPECT(connect.header.status, VERR_VERSION_MISMATCH);
	EXPECT(connect.out.session, 0);
	EXPECT(connect.out.session_version, 0xffffffff);
	EXPECT(connect.out.driver_version, SUPDRV_IDC_VERSION);
	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_CONNECT, &connect, sizeof(connect)),
	       VERR_INVALID_PARAMETER);
	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_CONNECT, &connect, 15), VERR_INVALID_PARAMETER);
	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_CONNECT, NULL, 40), VERR_INVALID_POINTER);
	EXPECT(SUPR0IdcCall(NULL, SUPDRV_IDC_CONNECT, &connect, 40), VERR_INVALID_HANDLE);
	return 0;
}

static int try_objects(void)
{
	struct SUPDRVSESSION *const session = SUPR0IdcGetSession(&connection);
	union SUPDRVIDCHANDLE other;
	struct SUPDRVSESSION *second;
	void *object;

	EXPECT(SUPR0IdcOpen(&other, 0, 0, NULL, NULL, NULL), VINF_SUCCESS);
	second = SUPR0IdcGetSession(&other);
	/* The first call has to be in the main connection's session. */
	EXPECT(SUPR0ObjRegister(second, 1, destructor, &destroyed, &connection), 0);
	EXPECT(SUPR0ObjAddRef(&other, second), VERR_NOT_SUPPORTED);
	object = SUPR0ObjRegister(session, 1, destructor, &destroyed, &connection);
	EXPECT(object != NULL, 1);
	EXPECT(SUPR0ObjVerifyAccess(object, session, "client"), VINF_SUCCESS);
	EXPECT(SUPR0ObjAddRef(object, session), VINF_SUCCESS);
	EXPECT(SUPR0ObjAddRef(object, second), VINF_SUCCESS);
	EXPECT(SUPR0ObjRelease(object, session), VINF_SUCCESS);
	EXPECT(SUPR0ObjRelease(object, session), VINF_SUCCESS);
	EXPECT(SUPR0ObjRelease(object, session), VERR_INVALID_PARAMETER);
	EXPECT(destroyed, 0);
	/* The second session has the last reference, and its end is the object's. */
	EXPECT(SUPR0IdcClose(&other), VINF_SUCCESS);
	EXPECT(destroyed, 1);
	object = SUPR0ObjRegister(session, 1, destructor, &destroyed, &connection);
	EXPECT(SUPR0ObjRelease(object, session), VINF_OBJECT_DESTROYED);
	EXPECT(destroyed, 2);
	return 0;
}

static int try_components(void)
{
	struct supdrv_idc_get_symbol packet = {
		{ sizeof(packet), VERR_WRONG_ORDER, NULL }, .in = { NULL, "SUPR0ComponentQueryFactory" }
	};
	struct SUPDRVSESSION *const session = SUPR0IdcGetSession(&connection);
	int (*ask)(struct SUPDRVSESSION *session, const char *name, const char *uuid, void **interface);
	void *found = &packet;

	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_GET_SYMBOL, &packet, sizeof(packet)), VINF_SUCCESS);
	ask = packet.out.address;
	EXPECT(ask(session, factory.szName, "5f0d3b5c-7c0e-4d0e-9a54-3b8a1e6f2c11", &found), VINF_SUCCESS);
	EXPECT(found == interface, 1);
	EXPECT(ask(session, factory.szName, "another", &found), -3701);
	EXPECT(found, 0);
	EXPECT(SUPR0IdcComponentRegisterFactory(&connection, &factory), VERR_ALREADY_EXISTS);
	EXPECT(SUPR0IdcComponentDeregisterFactory(&connection, &factory), VINF_SUCCESS);
	EXPECT(SUPR0IdcComponentDeregisterFactory(&connection, &factory), VERR_NOT_FOUND);
	EXPECT(SUPR0IdcComponentDeregisterFactory(NULL, &factory), VERR_INVALID_HANDLE);
	EXPECT(ask(session, factory.szName, "another", &found), -3700);
	EXPECT(SUPR0IdcComponentRegisterFactory(&connection, &factory), VINF_SUCCESS);

	packet = (typeof(packet)){ { sizeof(packet), VERR_WRONG_ORDER, NULL }, .in = { "SupDrv", "missing" } };
	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_GET_SYMBOL, &packet, sizeof(packet)),
	       VERR_SYMBOL_NOT_FOUND);
	EXPECT(packet.out.address, 0);
	packet = (typeof(packet)){ { sizeof(packet), VERR_WRONG_ORDER, NULL }, .in = { "missing", "missing" } };
	EXPECT(SUPR0IdcCall(&connection, SUPDRV_IDC_GET_SYMBOL, &packet, sizeof(packet)),
	       VERR_MODULE_NOT_FOUND);
	return 0;
}

static int try_everything(void)
{
	return try_versions() ?: try_packets() ?: try_objects() ?: try_components();
}

/* ---- the module ---- */

static int ask_for_symbol(void)
{
	struct supdrv_idc_get_symbol packet = {
		{ sizeof(packet), VERR_WRONG_ORDER, NULL }, .in = { module, symbol }
	};

	return SUPR0IdcCall(&connection, SUPDRV_IDC_GET_SYMBOL, &packet, sizeof(packet));
}

static int __init client_init(void)
{
	int status = SUPR0IdcOpen(&connection, 0, 0, NULL, NULL, NULL);
	int result = -EIO;

	if (status < 0)
		goto refused;
	status = SUPR0IdcComponentRegisterFactory(&connection, &factory);
	if (status < 0)
		goto close;
	if (module && symbol) {
		status = ask_for_symbol();
		if (status < 0)
			goto close;
	}
	result = selftest ? try_everything() : 0;
	if (!result)
		return 0;

close:
	/* Takes the factory back, too. */
	SUPR0IdcClose(&connection);
refused:
	if (status < 0)
		pr_info("supdrv_client: supdrv answers %d\n", status);
	return result;
}

static void __exit client_exit(void)
{
	SUPR0IdcComponentDeregisterFactory(&connection, &factory);
	SUPR0IdcClose(&connection);
}

module_init(client_init);
module_exit(client_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Sample client of supdrv: a connection, a component, and a test of both");
