//! The trace tool over a host that is no Python: what it writes, and what it does when it cannot.

use monitrace_core::{
    ByteOffset, Change, CodeId, CodeInfo, Event, EventSet, Firing, Host, Monitor, MonitorError, Payload,
    Reply, SharedSlot, Tool,
};
use monitrace_tools::Files;
use monitrace_tools::trace::{Format, Trace, TraceOptions};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Code objects are their files' names; line numbers are offsets.
struct Toy;

impl Host for Toy {
    type Code = &'static str;
    type Value = i64;
    type Error = MonitorError;
    type Quiet = ();
    type Slot = SharedSlot<Self>;

    fn quiet(&self) -> Option<()> {
        Some(())
    }

    fn refresh(&self, _: &Monitor<Self>, _: Change) {}

    fn code_id(&self, code: &&'static str) -> CodeId {
        CodeId(code.as_ptr() as usize)
    }

    fn describe(&self, code: &&'static str) -> CodeInfo {
        CodeInfo { qualified_name: "main".into(), file: (*code).into(), first_line: 1 }
    }

    fn line(&self, _: &&'static str, offset: ByteOffset) -> Option<u32> {
        Some(offset.0)
    }

    fn summarize(&self, value: &i64, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "value {value}")
    }

    fn thread(&self) -> u64 {
        7
    }
}

/// What was written; refuses when it holds more than it may.
#[derive(Clone)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Disk {
    fn new(room: usize) -> Disk {
        Disk { written: Arc::default(), room }
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().expect("no test panics with it").clone())
            .expect("reports are UTF-8")
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().expect("no test panics with it");
        if written.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn trace(format: Format, events: EventSet, disk: &Disk) -> (Trace, Tool<Toy>) {
    let files = Files::new(&[], &[], vec!["/lib".into()], Vec::new(), "/home").expect("no pattern is broken");
    let options = TraceOptions { events, format, files, colour: false, immediate: false };
    let trace = Trace::new(options, Box::new(disk.clone()));
    let tool = trace.tool(Toy);
    (trace, tool)
}

fn fire(tool: &Tool<Toy>, event: Event, file: &'static str, offset: u32, payload: Payload<'_, i64>) -> Reply {
    let (_, callback) = tool.callbacks().iter().find(|(known, _)| *known == event).expect("it listens");
    let offset = ByteOffset(offset);
    callback.call(&Firing { event, offset, code: &file, payload }).expect("a trace never raises")
}

#[test]
fn each_format_writes_each_event_on_a_line() {
    let played = |format| {
        let disk = Disk::new(usize::MAX);
        let (trace, tool) = trace(format, EventSet::all(), &disk);
        let file = "/home/a.toy";
        fire(&tool, Event::PyStart, file, 9, Payload::None);
        fire(&tool, Event::Line, file, 0, Payload::Line(2));
        fire(&tool, Event::Call, file, 3, Payload::Call { callable: &1, arg0: Some(&2) });
        fire(&tool, Event::BranchLeft, file, 4, Payload::Destination(ByteOffset(6)));
        fire(&tool, Event::PyReturn, file, 5, Payload::Value(&-1));
        assert_eq!(disk.text(), "", "it is gathered first");
        trace.finish().expect("there is room");
        disk.text()
    };
    let expected = "\
PY_START          a.toy:1              main
LINE              a.toy:2              main
CALL              a.toy:3              main value 1(arg0=value 2)
BRANCH_LEFT       a.toy:4              main to line 6
PY_RETURN         a.toy:5              main -> value -1
";
    assert_eq!(played(Format::Text), expected);
    let objects: Vec<serde_json::Value> = played(Format::Jsonl)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(objects.len(), 5);
    assert_eq!(
        objects[2],
        serde_json::json!({
            "event": "CALL", "file": "/home/a.toy", "line": 3, "name": "main", "depth": 0, "thread": 7,
            "offset": 3, "callable": "value 1", "arg0": "value 2",
        })
    );
    assert_eq!(objects[3]["destination"], 6);
    assert_eq!(objects[1].get("offset"), None);
}

#[test]
fn places_in_other_files_are_disabled() {
    let disk = Disk::new(usize::MAX);
    let (trace, tool) = trace(Format::Text, EventSet::all(), &disk);
    assert_eq!(fire(&tool, Event::Line, "/lib/b.toy", 0, Payload::Line(1)), Reply::Disable);
    // Where that is no answer, it is only passed over.
    assert_eq!(fire(&tool, Event::Raise, "/lib/b.toy", 0, Payload::Exception(&1)), Reply::Continue);
    assert_eq!(fire(&tool, Event::Line, "/home/b.toy", 0, Payload::Line(1)), Reply::Continue);
    trace.finish().expect("there is room");
    assert_eq!(disk.text().lines().count(), 1);
}

#[test]
fn a_long_report_is_written_as_it_comes() {
    let disk = Disk::new(usize::MAX);
    let (trace, tool) = trace(Format::Text, EventSet::LINE, &disk);
    for line in 0..10_000 {
        fire(&tool, Event::Line, "/home/a.toy", 0, Payload::Line(line));
    }
    assert!(disk.text().len() > 256 * 1024);
    trace.finish().expect("there is room");
    assert_eq!(disk.text().lines().count(), 10_000);
}

#[test]
fn an_output_that_fails_ends_the_trace_and_is_told_of_once() {
    let disk = Disk::new(100_000);
    let (trace, tool) = trace(Format::Text, EventSet::LINE, &disk);
    let replies: Vec<Reply> =
        (0..10_000).map(|line| fire(&tool, Event::Line, "/home/a.toy", 0, Payload::Line(line))).collect();
    assert_eq!(replies.first(), Some(&Reply::Continue));
    assert_eq!(replies.last(), Some(&Reply::Disable));
    assert!(trace.has_failed());
    assert_eq!(trace.finish().expect_err("the disk is full").kind(), io::ErrorKind::StorageFull);
    trace.finish().expect("it was told");
    assert!(disk.text().ends_with('\n'), "what was written are whole lines");
}

#[test]
fn a_copy_that_is_abandoned_writes_nothing() {
    let disk = Disk::new(usize::MAX);
    let (trace, tool) = trace(Format::Text, EventSet::LINE, &disk);
    fire(&tool, Event::Line, "/home/a.toy", 0, Payload::Line(1));
    trace.abandon();
    fire(&tool, Event::Line, "/home/a.toy", 0, Payload::Line(2));
    trace.finish().expect("there is room");
    assert_eq!(disk.text(), "");
}
