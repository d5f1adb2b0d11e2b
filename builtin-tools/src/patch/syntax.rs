//! What a patch consists of.

/// A patch as written: what to do to which file, in order.
#[derive(Debug)]
pub(crate) struct Patch<'a> {
    pub(crate) sections: Vec<Section<'a>>,
}

/// What to do to one file.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// As written.
    pub(crate) path: &'a str,
    pub(crate) action: Action<'a>,
}

#[derive(Debug)]
pub(crate) enum Action<'a> {
    Add {
        lines: Vec<&'a str>,
        final_newline: bool,
    },
    Delete,
    Update {
        /// As written.
        move_to: Option<&'a str>,
        chunks: Vec<Chunk<'a>>,
    },
}

/// One place of a file that changes, with what stands around it.
#[derive(Debug, Default)]
pub(crate) struct Chunk<'a> {
    /// The line of the patch it starts on, counted from 1.
    pub(crate) line: usize,
    /// Lines that stand somewhere above it in the file, outermost first.
    pub(crate) anchors: Vec<&'a str>,
    /// The line of the file, counted from 1, where a unified diff's header puts it.
    pub(crate) hint: Option<usize>,
    pub(crate) lines: Vec<Line<'a>>,
    /// How many lines at the end are bare empty ones: context, or just air between chunks.
    pub(crate) air: usize,
    /// It stands at the end of the file.
    pub(crate) at_end: bool,
    /// Whether the file then ends with a newline, where the patch says so.
    pub(crate) final_newline: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Context(&'a str),
    Remove(&'a str),
    Add(&'a str),
}

impl<'a> Line<'a> {
    /// The line as it stands in the file before the patch.
    pub(crate) fn before(self) -> Option<&'a str> {
        match self {
            Self::Context(text) | Self::Remove(text) => Some(text),
            Self::Add(_) => None,
        }
    }

    /// The line as it stands in the file after the patch.
    pub(crate) fn after(self) -> Option<&'a str> {
        match self {
            Self::Context(text) | Self::Add(text) => Some(text),
            Self::Remove(_) => None,
        }
    }
}
