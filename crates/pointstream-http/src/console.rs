/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a constant table of applications has it as literals"
)]
pub struct StaticFile {
    /// The path of the request, from the leading slash on.
    pub path: &'static str,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub bytes: &'static [u8],
}

/// The console page: a live table of the points.
pub const CONSOLE: &[StaticFile] = &[
    StaticFile { path: "/", content_type: HTML, bytes: include_bytes!("console/index.html") },
    StaticFile {
        path: "/console.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("console/console.css"),
    },
    StaticFile {
        path: "/console.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("console/console.js"),
    },
];

const HTML: &str = "text/html; charset=utf-8";
