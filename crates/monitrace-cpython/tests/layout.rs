//! The structs of CPython that `ffi` declares, against what the C compiler says of the headers of
//! the interpreter that this was built for.

#![cfg(not(Py_3_12))]

use monitrace_cpython::ffi::LAYOUT;
use pyo3::prelude::*;
use std::fmt::Write;
use std::process::Command;

#[test]
fn fields_lie_where_the_headers_put_them() {
    let include: String =
        Python::attach(|py| py.import("sysconfig")?.call_method1("get_path", ("include",))?.extract())
            .expect("sysconfig knows the headers' folder");
    let mut program = String::from(
        "#define Py_BUILD_CORE 1\n#include <Python.h>\n#include <internal/pycore_frame.h>\n\
         #include <stddef.h>\n#include <stdio.h>\ntypedef struct _frame PyFrameObject_;\n\
         #define FIELD(S, F) printf(\"%s %s %zu %zu\\n\", #S, #F, offsetof(S, F), sizeof(((S *)0)->F))\n\
         int main(void) {\n",
    );
    let mut declared = String::new();
    for &(c_struct, field, offset, size) in LAYOUT.iter().copied().flatten() {
        writeln!(program, "FIELD({c_struct}, {field});").expect("strings can be written");
        writeln!(declared, "{c_struct} {field} {offset} {size}").expect("strings can be written");
    }
    program.push_str("return 0; }\n");

    let folder = std::env::temp_dir().join(format!("monitrace-layout-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let (source, executable) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&source, program).expect("the temporary folder can be written");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .arg(&source)
        .arg("-o")
        .arg(&executable)
        .arg(format!("-I{include}"))
        .output()
        .expect("there is a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let told = Command::new(&executable).output().expect("the program runs").stdout;
    std::fs::remove_dir_all(&folder).expect("the temporary folder can be removed");

    assert!(declared.lines().count() > 40, "the table of fields is nearly empty");
    assert_eq!(declared, String::from_utf8_lossy(&told));
}
