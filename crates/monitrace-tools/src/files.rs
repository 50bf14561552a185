//! Which files a tool looks at, and how it names them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::borrow::Cow;
use std::path::{MAIN_SEPARATOR, Path};

/// A pattern that is no glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern {pattern:?}: {reason}")]
pub struct PatternError {
    /// As it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The rule that says which files are looked at.
///
/// Patterns are matched against the whole path, the path relative to the directory, and the file
/// name; `*` crosses directories.
#[derive(Debug, Clone, Default)]
pub struct Files {
    include: Option<GlobSet>,
    exclude: GlobSet,
    libraries: Vec<String>,
    hidden: Vec<String>,
    directory: String,
}

impl Files {
    /// Every file that `include` names, or all but the libraries' if it is empty; without those
    /// that `exclude` names, and never one of the folders `hidden`. A library is a folder, or the beginning of the names that the virtual
    /// machine gives to code without a file, such as `<frozen `. Paths below `directory` are shown
    /// relative to it.
    ///
    /// # Errors
    /// [`PatternError`] for the first pattern that is no glob.
    pub fn new(
        include: &[String],
        exclude: &[String],
        libraries: Vec<String>,
        hidden: Vec<String>,
        directory: &str,
    ) -> Result<Files, PatternError> {
        let mut directory = directory.to_owned();
        if !directory.is_empty() && !directory.ends_with(MAIN_SEPARATOR) {
            directory.push(MAIN_SEPARATOR);
        }
        let include = if include.is_empty() { None } else { Some(globs(include)?) };
        Ok(Files { include, exclude: globs(exclude)?, libraries, hidden, directory })
    }

    /// Whether the file is looked at.
    pub fn wants(&self, file: &str) -> bool {
        let matches = |set: &GlobSet| {
            !set.is_empty()
                && (set.is_match(file)
                    || set.is_match(self.shown(file).as_ref())
                    || Path::new(file).file_name().is_some_and(|name| set.is_match(name)))
        };
        let wanted = match &self.include {
            Some(include) => matches(include),
            None => !is_within_any(file, &self.libraries),
        };
        wanted && !matches(&self.exclude) && !is_within_any(file, &self.hidden)
    }

    /// The path as people are shown it.
    pub fn shown<'a>(&self, file: &'a str) -> Cow<'a, str> {
        match file.strip_prefix(&self.directory) {
            Some(relative) if !self.directory.is_empty() && !relative.is_empty() => relative.into(),
            _ => file.into(),
        }
    }
}

/// Whether a path is a folder or lies below it, or begins as the names of code without a file do.
fn is_within_any(file: &str, folders: &[String]) -> bool {
    folders.iter().filter(|folder| !folder.is_empty()).any(|folder| {
        file.strip_prefix(folder.as_str()).is_some_and(|rest| {
            let is_whole = rest.is_empty() || rest.starts_with(MAIN_SEPARATOR);
            is_whole || folder.ends_with(MAIN_SEPARATOR) || folder.starts_with('<')
        })
    })
}

fn globs(patterns: &[String]) -> Result<GlobSet, PatternError> {
    let error = |pattern: &str, error: &globset::Error| PatternError {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).build().map_err(|e| error(pattern, &e))?);
    }
    set.build().map_err(|e| error(e.glob().unwrap_or_default(), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(include: &[&str], exclude: &[&str]) -> Files {
        let owned =
            |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        let libraries = owned(&["/lib/python", "<frozen "]);
        let hidden = owned(&["/home/me/tool"]);
        Files::new(&owned(include), &owned(exclude), libraries, hidden, "/home/me")
            .expect("the patterns are globs")
    }

    #[test]
    fn own_files_are_those_outside_the_libraries() {
        let files = files(&[], &[]);
        for (file, wanted) in [
            ("/home/me/a.py", true),
            ("/lib/python/os.py", false),
            ("/lib/pythonic/a.py", true),
            ("<frozen os>", false),
            ("<string>", true),
        ] {
            assert_eq!(files.wants(file), wanted, "{file}");
        }
    }

    #[test]
    fn include_replaces_the_rule_and_exclude_narrows_it() {
        let files = files(&["os.py", "src/*", "tool/*"], &["*/test_*"]);
        for (file, wanted) in [
            ("/home/me/tool/a.py", false),
            ("/lib/python/os.py", true),
            ("/home/me/src/deep/a.py", true),
            ("/home/me/src/test_a.py", false),
            ("/home/me/a.py", false),
        ] {
            assert_eq!(files.wants(file), wanted, "{file}");
        }
    }

    #[test]
    fn paths_below_the_directory_are_shown_relative() {
        let files = files(&[], &[]);
        assert_eq!(files.shown("/home/me/src/a.py"), "src/a.py");
        assert_eq!(files.shown("/home/meander/a.py"), "/home/meander/a.py");
        assert_eq!(files.shown("<string>"), "<string>");
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error =
            Files::new(&["a[".to_owned()], &[], Vec::new(), Vec::new(), "").expect_err("a bracket is open");
        assert_eq!(error.pattern, "a[");
    }
}
