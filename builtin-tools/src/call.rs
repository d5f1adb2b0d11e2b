//! What a tool is given for a call, and what it answers.

use std::sync::{Arc, Mutex};

use rmcp::model::CallToolResult;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::ToolError;
use crate::progress::Progress;

/// A tool's answer. An error becomes a result too, one that says that the call failed.
pub(crate) type Answer = Result<CallToolResult, ToolError>;

/// What all calls share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) context: Arc<Context>,
    /// Held while a patch is read, computed and written: the next one starts from what it made.
    pub(crate) patching: Arc<Mutex<()>>,
}

impl Shared {
    pub(crate) fn new(context: Context) -> Self {
        Self { context: Arc::new(context), patching: Arc::default() }
    }
}

/// What one call is given besides its arguments.
pub(crate) struct Call {
    pub(crate) shared: Shared,
    /// Cancelled when the client no longer wants an answer.
    pub(crate) cancelled: CancellationToken,
    /// `None`: the client does not want to hear of progress.
    pub(crate) progress: Option<Progress>,
}

impl Call {
    pub(crate) fn context(&self) -> &Context {
        &self.shared.context
    }

    /// Does work that waits for the disk, where waiting holds up nothing else. The work looks at the token now and then.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &CancellationToken) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let (shared, cancelled) = (self.shared.clone(), self.cancelled.clone());
        tokio::task::spawn_blocking(move || work(&shared, &cancelled)).await?
    }
}
