//! Every status code the header or its specification names: one row per name.
//!
//! The rows become the associated constants of [`Status`] and the list [`Status::ALL`]; the type's
//! behaviour is in the parent module.
//!
//! Invariant: a value appears once, except for the aliases that their own rows declare, and an
//! alias comes after the name that [`Status::name`] shall report.

use super::Status;

/// Turns the rows `NAME = value, "meaning";` into constants and into [`Status::ALL`].
macro_rules! statuses {
    ($($name:ident = $value:literal, $meaning:literal;)+) => {
        impl Status {
            $(
                #[doc = concat!("Corresponds to `", stringify!($name), "`. ", $meaning)]
                pub const $name: Self = Self::new($value);
            )+

            /// Every known status with its name and its meaning.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$name, stringify!($name), $meaning)),+];
        }
    };
}

statuses! {
    // General.
    VINF_SUCCESS = 0, "The call did what was asked.";
    VINF_OBJECT_DESTROYED = 85,
        "The call succeeded and the object went away with its last reference.";
    VERR_GENERAL_FAILURE = -1, "Something failed that no other status describes.";
    VERR_INVALID_PARAMETER = -2, "An argument, or a field of a request, is not acceptable.";
    VERR_INVALID_MAGIC = -3, "A structure does not carry the magic number of its type.";
    VERR_INVALID_HANDLE = -4, "The handle is unknown, closed or of another type.";
    VERR_LOCK_FAILED = -5, "Pages could not be locked into memory.";
    VERR_INVALID_POINTER = -6, "The pointer cannot possibly address what is wanted.";
    VERR_IDT_FAILED = -7, "The interrupt descriptor table could not be changed.";
    VERR_NO_MEMORY = -8, "There is not enough memory.";
    VERR_ALREADY_LOADED = -9, "The image is loaded already, or is in the wrong load state.";
    VERR_PERMISSION_DENIED = -10, "The caller has no right to do this.";
    VERR_VERSION_MISMATCH = -11, "The two sides speak incompatible versions.";
    VERR_NOT_IMPLEMENTED = -12, "The function exists by name only.";
    VERR_NO_TMP_MEMORY = -20, "There is not enough memory for a short-lived buffer.";
    VERR_WRONG_ORDER = -22, "The call comes too early, too late or at the wrong place.";
    VERR_NO_CONT_MEMORY = -26, "There is not enough physically contiguous memory.";
    VERR_NO_PAGE_MEMORY = -27, "There is not enough memory for whole pages.";
    VERR_INVALID_CONTEXT = -32, "The caller is of the wrong kind for this function.";
    VERR_INVALID_FUNCTION = -36, "No such operation exists.";
    VERR_NOT_SUPPORTED = -37, "This host or build cannot do it.";
    VERR_ACCESS_DENIED = -38, "Access was refused.";
    VERR_INTERRUPTED = -39, "A signal to the thread ended the wait.";
    VERR_TIMEOUT = -40, "The time ran out.";
    VERR_BUFFER_OVERFLOW = -41, "The result does not fit into the buffer.";
    VERR_TOO_MUCH_DATA = -42, "The input is larger than what can be handled.";
    VERR_TRY_AGAIN = -52, "It is not possible right now, and may be later.";
    VERR_OUT_OF_RANGE = -54, "A value lies outside its permitted range.";
    VERR_MEMORY_BUSY = -67, "The memory is in use and cannot be released or changed.";
    VERR_TIMER_ACTIVE = -68, "The timer to be started is running already.";
    VERR_TIMER_SUSPENDED = -69, "The timer to be stopped is not running.";
    VERR_CANCELLED = -70, "The operation was called off.";
    VERR_NO_LOW_MEMORY = -72, "There is not enough memory below 4 GiB.";
    VERR_NO_PHYS_MEMORY = -73, "There is not enough physical memory.";
    VERR_ADDRESS_TOO_BIG = -74, "The address is beyond what can be represented.";
    VERR_MAP_FAILED = -75, "The memory could not be mapped.";
    VERR_NOT_FOUND = -78, "What was looked for does not exist.";
    VERR_NO_MORE_HANDLES = -81, "The handle table of the session is full.";
    VERR_PAGE_COUNT_OUT_OF_RANGE = -84, "The number of pages is zero or above the limit.";
    VERR_DANGLING_OBJECTS = -86, "The image holds destructors of objects that are still alive.";
    VERR_CALLER_NO_REFERENCE = -93, "The caller owns no reference to the object.";
    VERR_NO_EXEC_MEMORY = -96, "There is not enough executable memory.";
    VERR_DUPLICATE = -98, "The same thing is listed twice.";
    VERR_FILE_NOT_FOUND = -102, "The file does not exist.";
    VERR_PATH_NOT_FOUND = -103, "A directory on the way to the file does not exist.";
    VERR_ALREADY_EXISTS = -105, "It exists already.";
    VERR_NOT_SAME_DEVICE = -119, "The two files are not the same object or device.";
    VERR_FILENAME_TOO_LONG = -120, "The name is longer than permitted.";
    VERR_NOT_A_DIRECTORY = -126, "The path leads to something other than a directory.";
    VERR_IS_A_DIRECTORY = -127, "The path leads to a directory where a file is wanted.";
    VERR_INTERNAL_ERROR = -225, "The driver or library contradicts itself.";
    VERR_INTERNAL_ERROR_2 = -226, "The driver or library contradicts itself, second kind.";
    VERR_INTERNAL_ERROR_3 = -227, "The driver or library contradicts itself, third kind.";
    VERR_INTERNAL_ERROR_4 = -228, "The driver or library contradicts itself, fourth kind.";
    VERR_INTERNAL_ERROR_5 = -229, "The driver or library contradicts itself, fifth kind.";
    VERR_SEM_DESTROYED = -363, "The semaphore was destroyed under the waiter.";
    VERR_BAD_EXE_FORMAT = -608, "The file is not an executable image that can be loaded.";
    VERR_SYMBOL_NOT_FOUND = -609, "The symbol does not exist.";
    VERR_MODULE_NOT_FOUND = -610, "The module does not exist.";
    VERR_CPU_OFFLINE = -800, "The processor is not online.";
    VERR_CPU_NOT_FOUND = -801, "There is no such processor.";
    VERR_UNSUPPORTED_CPU = -1002, "The processor is of a make that is not handled.";
    VERR_TOO_MANY_CPUS = -1019, "The host has more processors than the tables hold.";

    // Access to the driver.
    VERR_VM_DRIVER_NOT_INSTALLED = -1908, "The device node does not exist.";
    VERR_VM_DRIVER_NOT_ACCESSIBLE = -1909, "The caller may not open the device node.";
    VERR_VM_DRIVER_LOAD_ERROR = -1910, "The driver behind the device node is not loaded.";
    VERR_VM_DRIVER_OPEN_ERROR = -1911, "The device node cannot be opened.";
    VERR_VM_DRIVER_VERSION_MISMATCH = -1912, "Driver and library belong to different versions.";

    // Components and services.
    VERR_SUPDRV_COMPONENT_NOT_FOUND = -3700, "No component factory has that name.";
    VERR_SUPDRV_INTERFACE_NOT_SUPPORTED = -3701, "No factory of that name offers the interface.";
    VERR_SUPDRV_SERVICE_NOT_FOUND = -3702, "The session has loaded no service of that name.";
    VERR_SUPDRV_KERNEL_TOO_OLD_FOR_VTX = -3703, "The host kernel is too old to share VT-x.";

    // Trace providers.
    VERR_SUPDRV_VTG_MAGIC = -3704, "The provider object has the wrong magic text.";
    VERR_SUPDRV_VTG_BITS = -3705, "The provider object has the wrong word width.";
    VERR_SUPDRV_VTG_BAD_HDR_MISC = -3706, "The provider object's header is inconsistent.";
    VERR_SUPDRV_VTG_BAD_HDR_OFF = -3707,
        "An area of the provider object lies outside it or is misaligned.";
    VERR_SUPDRV_VTG_BAD_HDR_PTR = -3708,
        "A pointer of the provider object's header leaves the image.";
    VERR_SUPDRV_VTG_BAD_HDR_TOO_FEW = -3709, "An area of the provider object is too small.";
    VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH = -3710, "An area of the provider object is too large.";
    VERR_SUPDRV_VTG_BAD_HDR_NOT_MULTIPLE = -3711,
        "An area of the provider object ends within a record.";
    VERR_SUPDRV_VTG_STRTAB_OFF = -3712, "A name lies outside the string table.";
    VERR_SUPDRV_VTG_BAD_STRING = -3713, "A name holds a character that is not allowed.";
    VERR_SUPDRV_VTG_STRING_TOO_LONG = -3714, "A name does not end within the permitted length.";
    VERR_SUPDRV_VTG_BAD_ATTR = -3715, "A stability attribute is out of range.";
    VERR_SUPDRV_VTG_BAD_PROVIDER = -3716, "A provider record is wrong.";
    VERR_SUPDRV_VTG_BAD_PROBE = -3717, "A probe record is wrong.";
    VERR_SUPDRV_VTG_BAD_ARGLIST = -3718, "An argument list is wrong.";
    VERR_SUPDRV_VTG_BAD_PROBE_ENABLED = -3719,
        "A probe is marked as enabled before its registration.";
    VERR_SUPDRV_VTG_BAD_PROBE_LOC = -3720, "A probe location record is wrong.";
    VERR_SUPDRV_VTG_ALREADY_REGISTERED = -3721, "The provider object is registered already.";
    VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION = -3722,
        "The session has registered its provider object already.";

    // Tracers.
    VERR_SUPDRV_TRACER_ALREADY_REGISTERED = -3723, "The system has a tracer already.";
    VERR_SUPDRV_TRACER_NOT_REGISTERED = -3724, "The caller is not the registered tracer.";
    VERR_SUPDRV_TRACER_ALREADY_OPENED = -3725, "The session has opened the tracer already.";
    VERR_SUPDRV_TRACER_NOT_OPENED = -3726, "The session has not opened the tracer.";
    VERR_SUPDRV_TRACER_NOT_PRESENT = -3727, "The system has no tracer.";
    VERR_SUPDRV_TRACER_UNLOADING = -3728, "The tracer is about to go away.";
    VERR_SUPDRV_TRACER_SESSION_BUSY = -3729, "Another thread of the session is inside the tracer.";
    VERR_SUPDRV_TRACER_CANNOT_OPEN_SELF = -3730, "The session that is the tracer cannot open it.";
    VERR_SUPDRV_TRACER_BAD_ARG_FLAGS = -3731, "The type flags of a probe argument are wrong.";
    VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS = -3732, "The module or session has too many providers.";
    VERR_SUPDRV_TRACER_TOO_LARGE = -3733, "The provider object is too large.";
    VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT = -3734,
        "The user module's probe tables are too far apart.";
    VERR_SUPDRV_TRACER_UMOD_TOO_MANY_PROBES = -3735,
        "The user module's probe tables are too large.";
    VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG = -3736,
        "The user module's string table has an impossible size.";
    VERR_SUPDRV_TRACER_UMOD_STRTAB_OFF_BAD = -3737,
        "A function name of the user module lies outside its string table.";

    // Verification of installed files.
    VERR_SUPLIB_PATH_NOT_ABSOLUTE = -3750, "The path does not start at the root.";
    VERR_SUPLIB_PATH_NOT_CLEAN = -3751, "The path holds a component that must be resolved first.";
    VERR_SUPLIB_PATH_TOO_LONG = -3752, "The path is too long.";
    VERR_SUPLIB_PATH_TOO_SHORT = -3753, "The path is too short to name anything.";
    VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS = -3754, "The path has too many components.";
    VERR_SUPLIB_PATH_IS_ROOT = -3755, "The path is the root directory itself.";
    VERR_SUPLIB_DIR_ENUM_FAILED = -3756, "The directory could not be listed.";
    VERR_SUPLIB_STAT_ENUM_FAILED = -3757, "An entry of the directory could not be examined.";
    VERR_SUPLIB_STAT_FAILED = -3758, "The path could not be examined.";
    VERR_SUPLIB_FSTAT_FAILED = -3759, "The open file could not be examined.";
    VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED = -3760, "The path passes through a symbolic link.";
    VERR_SUPLIB_NOT_DIR_NOT_FILE = -3761,
        "The path leads to neither a directory nor a regular file.";
    VERR_SUPLIB_IS_DIRECTORY = -3762, "The path leads to a directory where a file is wanted.";
    VERR_SUPLIB_IS_FILE = -3763, "The path leads to a file where a directory is wanted.";
    VERR_SUPLIB_NOT_SAME_OBJECT = -3764, "The path no longer leads to the file that was opened.";
    VERR_SUPLIB_OWNER_NOT_ROOT = -3765, "The file or directory does not belong to root.";
    VERR_SUPLIB_WRITE_NON_SYS_GROUP = -3766, "A group other than root's may write.";
    VERR_SUPLIB_WORLD_WRITABLE = -3767, "Everybody may write.";
    VERR_SUPLIB_INVALID_ARGV0_INTERNAL = -3768,
        "The program was started under a name that cannot be trusted.";
    VERR_SUPLIB_INVALID_INTERNAL_APP_DIR = -3769,
        "The program was started from the wrong directory.";

    // Hardware virtualisation.
    VERR_VMX_NO_VMX = -4009, "The processor has no VT-x.";
    VERR_VMX_IN_VMX_ROOT_MODE = -4011, "Someone else is using VT-x.";
    VERR_VMX_MSR_LOCKED_OR_DISABLED = -4013, "The firmware has locked VT-x out.";
    VERR_VMX_MSR_LOCKING_FAILED = -4013,
        "The newer name of the status above: the feature register could not be locked.";
    VERR_VMX_MSR_ALL_VMX_DISABLED = -4028, "The firmware has disabled VT-x in every mode.";
    VERR_VMX_MSR_VMX_DISABLED = -4029, "The firmware has disabled VT-x outside of SMX.";
    VERR_VMX_MSR_VMX_ENABLE_FAILED = -4031, "VT-x outside of SMX could not be enabled.";
    VERR_VMX_MSR_SMX_VMX_ENABLE_FAILED = -4032, "VT-x inside SMX could not be enabled.";
    VERR_SVM_NO_SVM = -4052, "The processor has no AMD-V.";
    VERR_SVM_DISABLED = -4053, "The firmware has disabled AMD-V.";
    VERR_SVM_IN_USE = -4054, "Someone else is using AMD-V.";

    // Work without a driver (newer than the header).
    VERR_SUP_DRIVERLESS = -5699, "The function needs the driver and the process runs without one.";
    VINF_SUP_DRIVERLESS = 5699, "The process runs without a driver, as it asked for.";
}
