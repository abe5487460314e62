/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Connections of other kernel modules to supdrv.
 *
 * A client module compiles supdrv_idc.c into itself and calls the functions below; kmod/client/ is one.
 * It depends on supdrv by the symbol SUPDrvLinuxIDC, so that supdrv stays in the kernel as long as the
 * client does. Nobody but the client knows its sessions: it has to close them before it goes.
 *
 * Names, structures and statuses are those of <VBox/sup.h>, which is for ring-0 modules that supdrv loads
 * itself and is not made for the kernel's own headers. All functions but SUPR0IdcGetSession may sleep.
 */
#ifndef SUPDRV_IDC_H
#define SUPDRV_IDC_H

#include <linux/types.h>

/* The version of the interface; its upper half is the major number. */
#define SUPDRV_IDC_VERSION 0x00010000U

/* What the functions answer: 0 or more is success. */
enum supdrv_status {
	VINF_SUCCESS = 0,
	VINF_OBJECT_DESTROYED = 85,
	VERR_INVALID_PARAMETER = -2,
	VERR_INVALID_HANDLE = -4,
	VERR_INVALID_POINTER = -6,
	VERR_NO_MEMORY = -8,
	VERR_PERMISSION_DENIED = -10,
	VERR_VERSION_MISMATCH = -11,
	VERR_WRONG_ORDER = -22,
	VERR_NOT_SUPPORTED = -37,
	VERR_NOT_FOUND = -78,
	VERR_ALREADY_EXISTS = -105,
	VERR_INTERNAL_ERROR_5 = -229,
	VERR_SYMBOL_NOT_FOUND = -609,
	VERR_MODULE_NOT_FOUND = -610,
};

struct SUPDRVSESSION;

/* A connection. Zeros are a closed one. */
union SUPDRVIDCHANDLE {
	void *apvPadding[4];
	struct SUPDRVSESSION *session;
};

/* A named source of interfaces, which stays as it is while it is registered. */
struct SUPDRVFACTORY {
	char szName[56];
	void *(*pfnQueryFactoryInterface)(const struct SUPDRVFACTORY *factory, struct SUPDRVSESSION *session,
					  const char *uuid);
};

/* ---- packets: what SUPR0IdcCall sends ---- */

enum supdrv_idc_request {
	SUPDRV_IDC_CONNECT = 0xc0ffee01,
	SUPDRV_IDC_DISCONNECT = 0xc0ffee02,
	SUPDRV_IDC_GET_SYMBOL = 0xc0ffee03,
	SUPDRV_IDC_REGISTER_FACTORY = 0xc0ffee0a,
	SUPDRV_IDC_DEREGISTER_FACTORY = 0xc0ffee0b,
};

/* To disconnect it is the whole packet. */
struct supdrv_idc_header {
	u32 bytes;  /* of the whole packet */
	s32 status; /* the client presets VERR_WRONG_ORDER */
	struct SUPDRVSESSION *session;
};

#define SUPDRV_IDC_MAGIC 0x69726f74U

struct supdrv_idc_connect {
	struct supdrv_idc_header header;
	union {
		struct {
			u32 magic;
			u32 requested;
			u32 minimum;
		} in;
		struct {
			struct SUPDRVSESSION *session;
			u32 session_version;
			u32 driver_version;
			u32 driver_revision;
			u32 reserved;
		} out;
	};
};

struct supdrv_idc_get_symbol {
	struct supdrv_idc_header header;
	union {
		struct {
			const char *module; /* NULL: the driver */
			const char *symbol;
		} in;
		struct {
			void *address;
		} out;
	};
};

struct supdrv_idc_factory {
	struct supdrv_idc_header header;
	const struct SUPDRVFACTORY *factory;
};

/* ---- supdrv's ---- */

/* Carries out a request. Returns whether the packet was one; its own status is what came of it. */
int SUPDrvLinuxIDC(u32 request, struct supdrv_idc_header *packet);

/* ---- supdrv_idc.c's ---- */

/* Opens a connection. 0 is the version of this header; the outputs may be NULL. */
int SUPR0IdcOpen(union SUPDRVIDCHANDLE *handle, u32 requested, u32 minimum, u32 *session_version,
		 u32 *driver_version, u32 *driver_revision);
int SUPR0IdcCall(union SUPDRVIDCHANDLE *handle, u32 request, void *packet, u32 bytes);
int SUPR0IdcClose(union SUPDRVIDCHANDLE *handle);
struct SUPDRVSESSION *SUPR0IdcGetSession(union SUPDRVIDCHANDLE *handle);
int SUPR0IdcComponentRegisterFactory(union SUPDRVIDCHANDLE *handle, const struct SUPDRVFACTORY *factory);
int SUPR0IdcComponentDeregisterFactory(union SUPDRVIDCHANDLE *handle, const struct SUPDRVFACTORY *factory);

/* Objects. The first call of each has to be in the session of the module's first open connection. */
void *SUPR0ObjRegister(struct SUPDRVSESSION *session, u32 type,
		       void (*destructor)(void *object, void *user1, void *user2), void *user1, void *user2);
int SUPR0ObjAddRef(void *object, struct SUPDRVSESSION *session);
int SUPR0ObjRelease(void *object, struct SUPDRVSESSION *session);
int SUPR0ObjVerifyAccess(void *object, struct SUPDRVSESSION *session, const char *name);

#endif
