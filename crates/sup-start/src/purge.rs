//! Which variables and arguments are taken away: those that have libraries load other people's code.
//!
//! The system's loader drops its own (`LD_PRELOAD` and so on) from a set-user-id start; here they go in any
//! start, with those of the libraries that programs of this kind load: they come from the user, and the
//! program has the device. Source: specification 7.9 (`[7.2]`); the other rows are what the named libraries
//! document.
//!
//! Pure functions; `vectors.rs` applies them. Invariant: what is not named here is passed on as it is.

/// Variables that go, each by its whole name.
const VARIABLES: [&[u8]; 58] = [
    // The C library.
    b"GCONV_PATH",
    b"GETCONF_DIR",
    b"GLIBC_TUNABLES",
    b"HOSTALIASES",
    b"LOCALDOMAIN",
    b"LOCPATH",
    b"NIS_PATH",
    b"NLSPATH",
    b"RESOLV_HOST_CONF",
    b"RES_OPTIONS",
    b"TZDIR",
    // Windows and their widgets.
    b"QT_PLUGIN_PATH",
    b"QT_QPA_PLATFORM_PLUGIN_PATH",
    b"QT_QPA_GENERIC_PLUGINS",
    b"QML2_IMPORT_PATH",
    b"QML_IMPORT_PATH",
    b"GTK_MODULES",
    b"GTK3_MODULES",
    b"GTK_PATH",
    b"GTK_EXE_PREFIX",
    b"GTK_IM_MODULE_FILE",
    b"GIO_EXTRA_MODULES",
    b"GIO_MODULE_DIR",
    b"GI_TYPELIB_PATH",
    b"GDK_PIXBUF_MODULE_FILE",
    b"GDK_PIXBUF_MODULEDIR",
    b"XLOCALELIBDIR",
    b"XCURSOR_LIBRARY_PATH",
    // Graphics.
    b"LIBGL_DRIVERS_PATH",
    b"LIBVA_DRIVERS_PATH",
    b"VDPAU_DRIVER_PATH",
    b"GBM_BACKENDS_PATH",
    b"EGL_DRIVERS_PATH",
    b"OCL_ICD_VENDORS",
    b"OCL_ICD_FILENAMES",
    b"OPENCL_VENDOR_PATH",
    b"VK_ADD_DRIVER_FILES",
    b"VK_ADD_LAYER_PATH",
    b"VK_DRIVER_FILES",
    b"VK_ICD_FILENAMES",
    b"VK_LAYER_PATH",
    b"VK_INSTANCE_LAYERS",
    // Sound and pictures.
    b"ALSA_MIXER_SIMPLE_MODULES",
    b"ALSA_PLUGIN_DIR",
    b"ALSA_CONFIG_PATH",
    b"ALSA_CONFIG_DIR",
    b"LADSPA_PATH",
    b"LV2_PATH",
    b"SPA_PLUGIN_DIR",
    b"PIPEWIRE_MODULE_DIR",
    b"PULSE_DLPATH",
    b"FREI0R_PATH",
    // What talks to others.
    b"OPENSSL_CONF",
    b"OPENSSL_ENGINES",
    b"OPENSSL_MODULES",
    b"SASL_PATH",
    b"KRB5_CONFIG",
    b"P11_KIT_CONFIG",
];

/// Variables that go by the beginning of their names. Those of ours choose a driver and what it demands.
const PREFIXES: [&[u8]; 8] = [
    b"LD_",
    b"MALLOC_",
    b"GST_PLUGIN_",
    b"SDL_DYNAMIC_API",
    b"SDL3_DYNAMIC_API",
    b"VK_LOADER_",
    b"__EGL_",
    b"SUP_",
];

/// An argument that Qt takes a folder of plug-ins from.
const PLATFORM_PLUG_IN_PATH: &[u8] = b"platformpluginpath";

/// Whether a variable goes. `entry` is one of the environment: what has no name goes too.
pub(crate) fn is_dangerous_variable(entry: &[u8]) -> bool {
    match entry.iter().position(|byte| *byte == b'=').and_then(|end| entry.get(..end)) {
        None | Some([]) => true,
        Some(name) => {
            VARIABLES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        }
    }
}

/// How many arguments go, of those that begin with `argument`: it alone, it and the next, which is its
/// value, or none.
pub(crate) fn dangerous_arguments(argument: &[u8]) -> usize {
    let name = argument.strip_prefix(b"--").or_else(|| argument.strip_prefix(b"-"));
    match name.and_then(|name| name.strip_prefix(PLATFORM_PLUG_IN_PATH)) {
        Some([]) => 2,
        Some([b':' | b'=', ..]) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_go_by_their_whole_name_or_its_beginning() {
        for entry in [
            "QT_PLUGIN_PATH=/tmp",
            "LADSPA_PATH=",
            "LD_PRELOAD=x.so",
            "LD_=",
            "GLIBC_TUNABLES=a=b",
            "SUP_BACKEND=embedded",
            "GST_PLUGIN_SYSTEM_PATH_1_0=/tmp",
            "no name",
            "=value",
            "",
        ] {
            assert!(is_dangerous_variable(entry.as_bytes()), "{entry}");
        }
        for entry in
            ["PATH=/bin", "QT_PLUGIN_PATHS=x", "XLD_PRELOAD=x", "A=LD_PRELOAD=x", "SUPER=1"]
        {
            assert!(!is_dangerous_variable(entry.as_bytes()), "{entry}");
        }
    }

    #[test]
    fn an_argument_goes_with_its_value() {
        for (argument, gone) in [
            ("-platformpluginpath", 2),
            ("--platformpluginpath", 2),
            ("-platformpluginpath=/tmp", 1),
            ("-platformpluginpath:/tmp", 1),
            ("-platformpluginpaths", 0),
            ("platformpluginpath", 0),
            ("---platformpluginpath", 0),
            ("-platform", 0),
            ("", 0),
        ] {
            assert_eq!(dangerous_arguments(argument.as_bytes()), gone, "{argument}");
        }
    }

    #[test]
    fn no_row_stands_twice() {
        let mut names: Vec<_> = VARIABLES.iter().chain(&PREFIXES).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len() + PREFIXES.len());
    }
}
