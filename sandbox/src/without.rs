//! The steps that a test leaves out, one at a time, to see that each of them keeps something.
#![cfg(target_os = "linux")]

/// What a command takes away from itself, besides what its plan has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A session of its own, without a terminal.
    Session,
    /// Descriptors are closed.
    Descriptors,
    /// A session of keys of its own.
    Keyring,
    /// A `/proc` of its own.
    Proc,
    /// A `/dev` of its own, and no devices elsewhere.
    Devices,
}

/// Which of them is left out. Outside of tests, none can be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Without {
    #[cfg(test)]
    pub(crate) layer: Option<Layer>,
}

impl Without {
    /// Whether the layer is there.
    pub(crate) fn keeps(self, layer: Layer) -> bool {
        #[cfg(test)]
        return self.layer != Some(layer);
        #[cfg(not(test))]
        {
            let _ = layer;
            true
        }
    }
}
