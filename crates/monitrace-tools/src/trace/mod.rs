//! `trace`: writes every event of a program as a line of text or of JSON, as it happens.
//!
//! One event's way: what is known of its code object says whether its file is looked at (if not,
//! its location is disabled); the host's summaries are made, without a lock; the line is written
//! into a buffer under one. Memory is bounded whatever the program does: nothing is collected, and
//! what is remembered of code objects and threads is forgotten when it is much.
//!
//! An error of the output ends the tracing, never the program: [[`Trace::finish`]] tells of it.

mod depth;
mod jsonl;
mod text;

use crate::Files;
use depth::Depths;
use monitrace_core::{
    ByteOffset, Callback, CodeId, CodeInfo, Event, EventSet, Firing, Host, Payload, Reply, Tool,
};
use std::collections::HashMap;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns, indented by call depth, for people.
    Text,
    /// One JSON object a line, for programs.
    Jsonl,
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format is called {0:?}")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "text" => Ok(Format::Text),
            "jsonl" => Ok(Format::Jsonl),
            _ => Err(UnknownFormat(name.to_owned())),
        }
    }
}

/// What is traced and how it is written.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The events that are written.
    pub events: EventSet,
    /// How they are written.
    pub format: Format,
    /// The files whose events are written.
    pub files: Files,
    /// Whether text is coloured with ANSI escapes.
    pub colour: bool,
    /// Whether each line is written out at once, for a report that is read as it comes.
    pub immediate: bool,
}

/// One event, ready to be written. What formats know of it.
struct Record<'a> {
    event: Event,
    file: &'a str,
    shown_file: &'a str,
    line: u32,
    name: &'a str,
    depth: usize,
    thread: u64,
    /// `LINE` has none of its own.
    offset: Option<ByteOffset>,
    arguments: Arguments<'a>,
}

/// The arguments of an event, summarized.
#[derive(Clone, Copy)]
enum Arguments<'a> {
    None,
    Value(&'a str),
    Call { callable: &'a str, arg0: Option<&'a str> },
    Exception(&'a str),
    Destination { offset: ByteOffset, line: Option<u32> },
}

/// Writes records, each as whole lines.
trait Writer: Send {
    fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>);
}

/// What is known of a code object.
struct Known {
    wanted: bool,
    shown_file: String,
    info: CodeInfo,
    /// The lines of the offsets that have been asked for.
    lines: Mutex<HashMap<ByteOffset, Option<u32>>>,
}

impl Known {
    fn line<H: Host>(&self, host: &H, code: &H::Code, offset: ByteOffset) -> Option<u32> {
        if let Some(line) = lock(&self.lines).get(&offset) {
            return *line;
        }
        let line = host.line(code, offset);
        lock(&self.lines).insert(offset, line);
        line
    }
}

/// Code objects that are remembered at once.
const KNOWN: usize = 8192;
/// Bytes that are gathered before they are written out.
const BUFFER: usize = 64 * 1024;
/// How long a line waits at most for the next one to write it out: what a program that is killed
/// can lose.
const DELAY: Duration = Duration::from_millis(250);

struct Output {
    depths: Depths,
    writer: Box<dyn Writer>,
    buffer: Vec<u8>,
    out: Box<dyn Write + Send>,
    written: Instant,
    error: Option<io::Error>,
}

impl Output {
    /// Writes out what was gathered. After an error it does nothing more.
    fn flush(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.out.write_all(&self.buffer).and_then(|()| self.out.flush())
        {
            self.error = Some(error);
        }
        self.buffer.clear();
        self.written = Instant::now();
    }
}

struct Shared {
    options: TraceOptions,
    /// Set when nothing more is to be written.
    over: AtomicBool,
    known: Mutex<HashMap<CodeId, Arc<Known>>>,
    output: Mutex<Output>,
}

// No lock of this module is held while anything panics that is not out of memory.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trace of one program. Clones write to the same output.
#[derive(Clone)]
pub struct Trace(Arc<Shared>);

impl Trace {
    /// A trace that writes to `out`, which need not be buffered.
    pub fn new(options: TraceOptions, out: Box<dyn Write + Send>) -> Trace {
        let writer: Box<dyn Writer> = match options.format {
            Format::Text => Box::new(text::Text::new(options.colour)),
            Format::Jsonl => Box::new(jsonl::Jsonl),
        };
        Trace(Arc::new(Shared {
            output: Mutex::new(Output {
                depths: Depths::new(options.events),
                writer,
                buffer: Vec::with_capacity(BUFFER),
                out,
                written: Instant::now(),
                error: None,
            }),
            options,
            over: AtomicBool::new(false),
            known: Mutex::default(),
        }))
    }

    /// The tool that writes the events of a host. It listens to what these need besides: `C_RETURN`
    /// and `C_RAISE` cannot be had without `CALL` and each other.
    pub fn tool<H: Host>(&self, host: H) -> Tool<H> {
        const WITH_CALL: EventSet = EventSet::CALL.union(EventSet::C_RETURN).union(EventSet::C_RAISE);
        let mut events = self.0.options.events;
        if events.intersects(EventSet::C_RETURN | EventSet::C_RAISE) {
            events |= WITH_CALL;
        }
        let callback = Arc::new(Tracer { shared: Arc::clone(&self.0), host });
        events.events().fold(Tool::new("monitrace trace"), |tool, event| {
            tool.on(event, Arc::clone(&callback) as Arc<dyn Callback<H>>)
        })
    }

    /// Writes out what was gathered so far.
    pub fn flush(&self) {
        lock(&self.0.output).flush();
    }

    /// Whether writing has failed, and tracing therefore ended.
    pub fn has_failed(&self) -> bool {
        lock(&self.0.output).error.is_some()
    }

    /// Ends the tracing and drops what was not written out: for a copy of the process, whose
    /// original writes it.
    pub fn abandon(&self) {
        self.0.over.store(true, Relaxed);
        lock(&self.0.output).buffer.clear();
    }

    /// Ends the tracing and writes out the rest.
    ///
    /// # Errors
    /// The first error of the output. It is told once.
    pub fn finish(&self) -> io::Result<()> {
        self.0.over.store(true, Relaxed);
        let mut output = lock(&self.0.output);
        output.flush();
        output.error.take().map_or(Ok(()), Err)
    }
}

struct Tracer<H: Host> {
    shared: Arc<Shared>,
    host: H,
}

impl<H: Host> Tracer<H> {
    fn known(&self, firing: &Firing<'_, H>) -> Arc<Known> {
        let id = firing.code_id(&self.host);
        if let Some(known) = lock(&self.shared.known).get(&id) {
            return Arc::clone(known);
        }
        let info = self.host.describe(firing.code);
        let files = &self.shared.options.files;
        let known = Arc::new(Known {
            wanted: files.wants(&info.file),
            shown_file: files.shown(&info.file).into_owned(),
            info,
            lines: Mutex::default(),
        });
        let mut all = lock(&self.shared.known);
        if all.len() >= KNOWN {
            all.clear();
        }
        all.insert(id, Arc::clone(&known));
        known
    }

    fn summary(&self, value: &H::Value) -> String {
        let mut text = String::new();
        // A string takes everything.
        let _ = self.host.summarize(value, &mut text);
        text
    }

    /// The line of the event's location; that of the code object for its start.
    fn line(&self, known: &Known, firing: &Firing<'_, H>) -> u32 {
        match firing.payload {
            Payload::Line(line) => line,
            _ if firing.event == Event::PyStart => known.info.first_line,
            _ => known.line(&self.host, firing.code, firing.offset).unwrap_or(known.info.first_line),
        }
    }

    fn write(&self, known: &Known, firing: &Firing<'_, H>) {
        let line = self.line(known, firing);
        let (first, second);
        let arguments = match firing.payload {
            Payload::None | Payload::Line(_) => Arguments::None,
            Payload::Value(value) => {
                first = self.summary(value);
                Arguments::Value(&first)
            }
            Payload::Call { callable, arg0 } => {
                first = self.summary(callable);
                second = arg0.map(|value| self.summary(value));
                Arguments::Call { callable: &first, arg0: second.as_deref() }
            }
            Payload::Exception(exception) => {
                first = self.summary(exception);
                Arguments::Exception(&first)
            }
            Payload::Destination(offset) => {
                Arguments::Destination { offset, line: known.line(&self.host, firing.code, offset) }
            }
        };
        let thread = self.host.thread();

        let mut output = lock(&self.shared.output);
        let output = &mut *output;
        let depth = output.depths.of(thread, firing.code_id(&self.host), firing.event);
        let record = Record {
            event: firing.event,
            file: &known.info.file,
            shown_file: &known.shown_file,
            line,
            name: &known.info.qualified_name,
            depth,
            thread,
            offset: (firing.event != Event::Line).then_some(firing.offset),
            arguments,
        };
        output.writer.write(&record, &mut output.buffer);
        if self.shared.options.immediate || output.buffer.len() >= BUFFER || output.written.elapsed() >= DELAY
        {
            output.flush();
            if output.error.is_some() {
                self.shared.over.store(true, Relaxed);
            }
        }
    }
}

impl<H: Host> Callback<H> for Tracer<H> {
    fn call(&self, firing: &Firing<'_, H>) -> Result<Reply, H::Error> {
        let not_again = if firing.event.can_be_disabled() { Reply::Disable } else { Reply::Continue };
        if self.shared.over.load(Relaxed) {
            return Ok(not_again);
        }
        let known = self.known(firing);
        if !known.wanted {
            return Ok(not_again);
        }
        if self.shared.options.events.contains(firing.event.set()) {
            self.write(&known, firing);
        }
        Ok(Reply::Continue)
    }
}
