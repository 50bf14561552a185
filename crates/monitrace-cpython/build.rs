//! Tells the compiler which CPython it builds for (`cfg(Py_3_12)` and so on), and the tests which
//! executable that was.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    if let Some(executable) = pyo3_build_config::get().executable() {
        println!("cargo::rustc-env=MONITRACE_BUILD_PYTHON={executable}");
    }
}
