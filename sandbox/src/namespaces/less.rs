//! For tests: a view from which something is left out.

use libc::c_int;

use super::Namespaces;
use crate::without::Layer;

impl Namespaces {
    /// Shares what these flags of `clone` stand for with the rest of the machine.
    pub(crate) fn share(&mut self, flags: c_int) {
        assert_eq!(self.flags & flags, flags, "it was not to be shared");
        // Without its own mounts, a command would change ours.
        assert_eq!(flags & libc::CLONE_NEWNS, 0, "mounts can not be shared");
        self.flags &= !flags;
    }

    /// Makes nothing read-only but what is new.
    pub(crate) fn leave_writable(&mut self) {
        self.all_writable = true;
    }

    /// Leaves `/run` as it is.
    pub(crate) fn leave_run(&mut self) {
        self.run = None;
    }

    pub(crate) fn leave_out(&mut self, layer: Layer) {
        self.without.layer = Some(layer);
    }
}
