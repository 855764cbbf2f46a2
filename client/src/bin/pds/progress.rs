//! Progress, for whoever watches a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `what`, e.g. `epochs`.
pub fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left");
    // Standard error; hidden when that is no terminal.
    ProgressBar::new(0).with_style(style.expect("the template is well formed")).with_message(what)
}

/// Something that turns while `what` goes on.
pub fn spinner(what: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}
