//! Makes the modules that only the figures need, each as ring-0 image and as plain shared object, of one
//! source: 64 KiB of code with a table of relocated pointers, and ten thousand symbols.

#[path = "../../modules/compiler.rs"]
mod compiler;

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use compiler::{Compiler, RING0_FLAGS};

fn main() -> ExitCode {
    compiler::main(build)
}

fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let compiler = Compiler::find("../../include".into())?;
    for (name, source) in [("large", large()), ("symbols", symbols())] {
        let path = out.join(format!("{name}.S"));
        fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))?;
        let source = [path];
        compiler.build(RING0_FLAGS, &source, &out.join(format!("{name}.r0")))?;
        // Names need not be hashed as ring 0 does, and nobody else's may take their place.
        compiler.build(&["-nostdlib"], &source, &out.join(format!("{name}.so")))?;
    }
    Ok(())
}

/// Functions of 256 bytes, and a table of their addresses, one in four of which can be named.
fn large() -> String {
    const COUNT: usize = 256;
    let mut text = head();
    for index in 0..COUNT {
        let global = if index % 4 == 0 { format!(".globl large{index}\n") } else { String::new() };
        let _ = write!(
            text,
            "{global}.type large{index}, @function\n.balign 256\nlarge{index}:\n\
             endbr64\nmov ${index}, %eax\n.fill 240, 1, 0x90\nret\n.size large{index}, . - large{index}\n"
        );
    }
    text += ".section .data.rel.ro, \"aw\"\n.balign 8\n";
    for index in 0..COUNT {
        let _ = writeln!(text, ".quad large{index}");
    }
    text
}

/// Functions that do nothing, with names of which most share their beginning.
fn symbols() -> String {
    const COUNT: usize = 10_000;
    let mut text = head();
    for index in 0..COUNT {
        let _ = write!(
            text,
            ".globl benchSymbol{index:05}\n.type benchSymbol{index:05}, @function\n\
             benchSymbol{index:05}:\nendbr64\nret\n"
        );
    }
    text
}

fn head() -> String {
    ".section .note.GNU-stack, \"\", @progbits\n.text\n".to_owned()
}
