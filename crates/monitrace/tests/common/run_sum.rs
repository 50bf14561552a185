// What the README's first example comes to: an expression, in the scope of its `Sum`.
Python::attach(|py| -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    let native = PyModule::new(py, "monitrace._native")?;
    monitrace_capi::publish(&native)?;
    modules.set_item("monitrace", PyModule::new(py, "monitrace")?)?;
    modules.set_item("monitrace._native", native)?;
    monitrace_cpython::install(py)?;
    let names = pyo3::types::PyDict::new(py);
    names.set_item("Sum", py.get_type::<Sum>())?;
    let code = cr#"
import sys

told = []
m = sys.monitoring
m.use_tool_id(2, "example")
events = ("PY_START", "LINE", "PY_RETURN", "PY_UNWIND")
for name in events:
    def note(code, *args, name=name):
        if isinstance(code, Sum):
            told.append((name, *args))
    m.register_callback(2, getattr(m.events, name), note)
m.set_events(2, sum(getattr(m.events, name) for name in events))
assert Sum([2, 3])() == 5
assert told == [("PY_START", 0), ("LINE", 1), ("LINE", 2), ("PY_RETURN", 2, 5)], told
told.clear()
try:
    Sum([2**31 - 1, 1])()
except OverflowError as error:
    assert told == [("PY_START", 0), ("LINE", 1), ("LINE", 2), ("PY_UNWIND", 2, error)], told
else:
    raise AssertionError(told)
m.set_events(2, 0)
m.free_tool_id(2)
"#;
    py.run(code, Some(&names), None)
})
.expect("the example does what it says")
