//! Events as JSON, one object a line. A field that an event does not have is absent.

use super::{Arguments, Record, Writer};
use serde::Serialize;

/// The object of one event. Its fields are public: see the documentation of `monitrace trace`.
#[derive(Serialize)]
struct Object<'a> {
    event: &'static str,
    file: &'a str,
    line: u32,
    name: &'a str,
    depth: usize,
    thread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arg0: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_line: Option<u32>,
}

pub(super) struct Jsonl;

impl Writer for Jsonl {
    fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut object = Object {
            event: record.event.name(),
            file: record.file,
            line: record.line,
            name: record.name,
            depth: record.depth,
            thread: record.thread,
            offset: record.offset.map(|offset| offset.0),
            value: None,
            callable: None,
            arg0: None,
            exception: None,
            destination: None,
            destination_line: None,
        };
        match record.arguments {
            Arguments::None => {}
            Arguments::Value(value) => object.value = Some(value),
            Arguments::Call { callable, arg0 } => {
                object.callable = Some(callable);
                object.arg0 = arg0;
            }
            Arguments::Exception(exception) => object.exception = Some(exception),
            Arguments::Destination { offset, line } => {
                object.destination = Some(offset.0);
                object.destination_line = line;
            }
        }
        // Strings and numbers always become JSON, and a vector takes everything.
        let _ = serde_json::to_writer(&mut *out, &object);
        out.push(b'\n');
    }
}
