// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a client module of supdrv is linked with: see supdrv_idc.h.
 *
 * Everything goes through packets. The functions for objects are supdrv's own, whose addresses are asked
 * for once, in the module's main connection: the first that it opened and has not closed.
 */
#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "supdrv_idc.h"

static_assert(sizeof(union SUPDRVIDCHANDLE) == 32);
static_assert(sizeof(struct SUPDRVFACTORY) == 64);
static_assert(sizeof(struct supdrv_idc_header) == 16);
static_assert(sizeof(struct supdrv_idc_connect) == 40);
static_assert(sizeof(struct supdrv_idc_get_symbol) == 32);
static_assert(sizeof(struct supdrv_idc_factory) == 24);

static union SUPDRVIDCHANDLE *main_handle;

static bool is_plausible(const void *pointer)
{
	return (unsigned long)pointer >= PAGE_SIZE && !IS_ERR(pointer);
}

/* Sends a packet; answers the packet's status, or the transport's if that fails. */
static int send(u32 request, struct supdrv_idc_header *packet, u32 bytes, struct SUPDRVSESSION *session)
{
	int result;

	packet->bytes = bytes;
	packet->status = VERR_WRONG_ORDER;
	packet->session = session;
	result = SUPDrvLinuxIDC(request, packet);
	return result < 0 ? result : packet->status;
}

static struct SUPDRVSESSION *session_of(const union SUPDRVIDCHANDLE *handle)
{
	return is_plausible(handle) && is_plausible(handle->session) ? handle->session : NULL;
}

static bool is_foreign(u32 version)
{
	return version && version >> 16 != SUPDRV_IDC_VERSION >> 16;
}

int SUPR0IdcOpen(union SUPDRVIDCHANDLE *handle, u32 requested, u32 minimum, u32 *session_version,
		 u32 *driver_version, u32 *driver_revision)
{
	u32 *outputs[] = { session_version, driver_version, driver_revision };
	struct supdrv_idc_connect packet = {};
	u32 version;
	int result;

	if (!is_plausible(handle))
		return VERR_INVALID_POINTER;
	memset(handle, 0, sizeof(*handle));
	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		if (!outputs[i])
			continue;
		if (!is_plausible(outputs[i]))
			return VERR_INVALID_POINTER;
		*outputs[i] = 0;
	}
	if (is_foreign(minimum) || is_foreign(requested))
		return VERR_INVALID_PARAMETER;
	packet.in.magic = SUPDRV_IDC_MAGIC;
	packet.in.requested = requested ?: SUPDRV_IDC_VERSION;
	packet.in.minimum = minimum ?: SUPDRV_IDC_VERSION;
	minimum = packet.in.minimum;
	result = send(SUPDRV_IDC_CONNECT, &packet.header, sizeof(packet), NULL);
	if (result < 0)
		return result;

	version = packet.out.session_version;
	handle->session = packet.out.session;
	if (session_version)
		*session_version = version;
	if (driver_version)
		*driver_version = packet.out.driver_version;
	if (driver_revision)
		*driver_revision = packet.out.driver_revision;
	if (!session_of(handle) || version < minimum || version >> 16 != minimum >> 16) {
		SUPR0IdcClose(handle);
		return VERR_VERSION_MISMATCH;
	}
	cmpxchg(&main_handle, NULL, handle);
	return VINF_SUCCESS;
}

int SUPR0IdcCall(union SUPDRVIDCHANDLE *handle, u32 request, void *packet, u32 bytes)
{
	struct SUPDRVSESSION *session = session_of(handle);
	struct supdrv_idc_header *header = packet;
	int result;

	if (!session)
		return VERR_INVALID_HANDLE;
	if (bytes < sizeof(*header))
		return VERR_INVALID_PARAMETER;
	if (!is_plausible(header))
		return VERR_INVALID_POINTER;
	header->session = session;
	if (header->bytes != bytes)
		return VERR_INVALID_PARAMETER;
	result = SUPDrvLinuxIDC(request, header);
	return result < 0 ? result : header->status;
}

int SUPR0IdcClose(union SUPDRVIDCHANDLE *handle)
{
	struct supdrv_idc_header packet;
	int result;

	if (!is_plausible(handle))
		return VERR_INVALID_POINTER;
	if (!session_of(handle))
		return VERR_INVALID_HANDLE;
	result = send(SUPDRV_IDC_DISCONNECT, &packet, sizeof(packet), handle->session);
	if (result < 0)
		return result;
	cmpxchg(&main_handle, handle, NULL);
	memset(handle, 0, sizeof(*handle));
	return result;
}

struct SUPDRVSESSION *SUPR0IdcGetSession(union SUPDRVIDCHANDLE *handle)
{
	return session_of(handle);
}

static int send_factory(u32 request, union SUPDRVIDCHANDLE *handle, const struct SUPDRVFACTORY *factory)
{
	struct supdrv_idc_factory packet = { .factory = factory };
	struct SUPDRVSESSION *session = session_of(handle);

	return session ? send(request, &packet.header, sizeof(packet), session) : VERR_INVALID_HANDLE;
}

int SUPR0IdcComponentRegisterFactory(union SUPDRVIDCHANDLE *handle, const struct SUPDRVFACTORY *factory)
{
	return send_factory(SUPDRV_IDC_REGISTER_FACTORY, handle, factory);
}

int SUPR0IdcComponentDeregisterFactory(union SUPDRVIDCHANDLE *handle, const struct SUPDRVFACTORY *factory)
{
	return send_factory(SUPDRV_IDC_DEREGISTER_FACTORY, handle, factory);
}

/* ---- objects ---- */

/* A function of supdrv's, asked for in `session` if that is the main connection's; NULL if it is not. */
static void *find(void **place, const char *symbol, struct SUPDRVSESSION *session)
{
	struct supdrv_idc_get_symbol packet = { .in.symbol = symbol };
	union SUPDRVIDCHANDLE *handle = READ_ONCE(main_handle);
	void *found = READ_ONCE(*place);

	if (found)
		return found;
	if (!session || !handle || READ_ONCE(handle->session) != session)
		return NULL;
	if (send(SUPDRV_IDC_GET_SYMBOL, &packet.header, sizeof(packet), session) < 0)
		return NULL;
	/* Whoever asks at once finds the same. */
	WRITE_ONCE(*place, packet.out.address);
	return packet.out.address;
}

void *SUPR0ObjRegister(struct SUPDRVSESSION *session, u32 type,
		       void (*destructor)(void *object, void *user1, void *user2), void *user1, void *user2)
{
	static void *place;
	typeof(&SUPR0ObjRegister) function = find(&place, "SUPR0ObjRegister", session);

	return function ? function(session, type, destructor, user1, user2) : NULL;
}

int SUPR0ObjAddRef(void *object, struct SUPDRVSESSION *session)
{
	static void *place;
	typeof(&SUPR0ObjAddRef) function = find(&place, "SUPR0ObjAddRef", session);

	return function ? function(object, session) : VERR_NOT_SUPPORTED;
}

int SUPR0ObjRelease(void *object, struct SUPDRVSESSION *session)
{
	static void *place;
	typeof(&SUPR0ObjRelease) function = find(&place, "SUPR0ObjRelease", session);

	return function ? function(object, session) : VERR_NOT_SUPPORTED;
}

int SUPR0ObjVerifyAccess(void *object, struct SUPDRVSESSION *session, const char *name)
{
	static void *place;
	typeof(&SUPR0ObjVerifyAccess) function = find(&place, "SUPR0ObjVerifyAccess", session);

	return function ? function(object, session, name) : VERR_NOT_SUPPORTED;
}
