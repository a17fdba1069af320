//! Work that takes a while, as the client shows it.

use super::client::Client;
use lsp_types::notification::Progress;
use lsp_types::request::WorkDoneProgressCreate;
use lsp_types::{
    NumberOrString, ProgressParams, ProgressParamsValue, WorkDoneProgress, WorkDoneProgressBegin,
    WorkDoneProgressCreateParams, WorkDoneProgressEnd,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Something long, which the client shows until this is dropped.
pub struct Reported {
    client: Client,
    token: Option<NumberOrString>,
}

impl Reported {
    /// It begins.
    pub fn begin(client: &Client, title: String) -> Reported {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let reported = |token| Reported { client: client.clone(), token };
        if !client.abilities.progress {
            return reported(None);
        }
        let token = NumberOrString::String(format!("ormend/{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        client.request::<WorkDoneProgressCreate>(WorkDoneProgressCreateParams { token: token.clone() });
        let reported = reported(Some(token));
        reported.send(WorkDoneProgress::Begin(WorkDoneProgressBegin { title, ..Default::default() }));
        reported
    }

    fn send(&self, progress: WorkDoneProgress) {
        if let Some(token) = self.token.clone() {
            let value = ProgressParamsValue::WorkDone(progress);
            self.client.notify::<Progress>(ProgressParams { token, value });
        }
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        self.send(WorkDoneProgress::End(WorkDoneProgressEnd::default()));
    }
}
