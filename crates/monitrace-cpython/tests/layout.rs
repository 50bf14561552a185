//! The structs of CPython that `ffi` declares, against what the C compiler says of the headers of
//! the interpreter that this was built for.

mod common;

use monitrace_cpython::ffi::LAYOUT;
use std::fmt::Write;

#[test]
fn fields_lie_where_the_headers_put_them() {
    let mut program = String::from(
        "#define Py_BUILD_CORE 1\n#include <Python.h>\n#include <internal/pycore_frame.h>\n\
         #include <internal/pycore_runtime.h>\n#include <stddef.h>\n#include <stdio.h>\ntypedef struct _frame PyFrameObject_;\n\
         #define FIELD(S, F) printf(\"%s %s %zu %zu\\n\", #S, #F, offsetof(S, F), sizeof(((S *)0)->F))\n\
         int main(void) {\n",
    );
    let mut declared = String::new();
    for &(c_struct, field, offset, size) in LAYOUT.iter().copied().flatten() {
        writeln!(program, "FIELD({c_struct}, {field});").expect("strings can be written");
        writeln!(declared, "{c_struct} {field} {offset} {size}").expect("strings can be written");
    }
    program.push_str("return 0; }\n");

    let fewest = if cfg!(Py_3_12) { 5 } else { 40 };
    assert!(declared.lines().count() > fewest, "the table of fields is nearly empty");
    assert_eq!(declared, common::told_by_c("layout", &program));
}
