//! From the text of a rule file to its tree, or to what is wrong with it.
//!
//! It owns the parser's dangers: the text may be anything, and must not end the process.

use crate::compile::compile;
use crate::tree::File;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use ruff_source_file::LineIndex;
use ruff_text_size::TextRange;
use std::path::Path;
use std::thread;

/// How many bytes a rule file may have.
const SIZE: usize = 64 * 1024;

/// The parser calls itself for each parenthesis and has no limit, so it gets a stack for a file of nothing
/// else. What is not used of it is address space, not memory.
const STACK: usize = SIZE * 8 * 1024;

/// What is wrong with a text, and where.
pub(crate) struct Mistake {
    pub(crate) words: String,
    pub(crate) range: TextRange,
}

/// Reads a text. Its names and literals have no objects yet: the parser's thread knows no Python.
///
/// # Errors
/// `SyntaxError`.
pub(crate) fn parse(py: Python<'_>, text: &str, path: &Path) -> PyResult<File> {
    if text.len() > SIZE {
        return Err(PySyntaxError::new_err(format!(
            "{}: a rule file has at most {SIZE} bytes",
            path.display()
        )));
    }
    let lines = LineIndex::from_source_text(text);
    let read = || match ruff_python_parser::parse_module(text) {
        // The parser's own tree is dropped here, too, where there is room to do so.
        Ok(parsed) => compile(parsed.syntax(), text, &lines),
        Err(error) => Err(Mistake { words: error.error.to_string(), range: error.location }),
    };
    // Nobody needs to wait for the parser but this thread.
    let done = py.detach(|| {
        thread::scope(|scope| {
            let reader = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read)?;
            reader.join().map_err(|_| std::io::Error::other("the parser panicked"))
        })
    })?;
    done.map_err(|mistake| syntax_error(&mistake, text, &lines, path))
}

fn syntax_error(mistake: &Mistake, text: &str, lines: &LineIndex, path: &Path) -> PyErr {
    let start = lines.line_column(mistake.range.start(), text);
    let end = lines.line_column(mistake.range.end(), text);
    let line = &text[lines.line_range(start.line, text)];
    PySyntaxError::new_err((
        mistake.words.clone(),
        (
            path.as_os_str().to_owned(),
            start.line.get(),
            start.column.get(),
            line.to_owned(),
            end.line.get(),
            end.column.get(),
        ),
    ))
}
