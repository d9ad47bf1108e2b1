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

macro_rules! console {
    ($($path:literal $file:literal $content_type:ident)*) => {
        &[$(StaticFile {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("console/", $file)),
        }),*]
    };
}

/// The console page: a live table of the points.
pub const CONSOLE: &[StaticFile] = console! {
    "/" "index.html" HTML
    "/api.html" "api.html" HTML
    "/api.js" "api.js" JS
    "/chart.js" "chart.js" JS
    "/console.css" "console.css" CSS
    "/console.js" "console.js" JS
    "/fetching.js" "fetching.js" JS
    "/format.js" "format.js" JS
    "/gateway.js" "gateway.js" JS
    "/inspect.js" "inspect.js" JS
    "/icon.svg" "icon.svg" SVG
    "/levels.js" "levels.js" JS
    "/meters.js" "meters.js" JS
    "/patch.js" "patch.js" JS
    "/table.js" "table.js" JS
    "/trend.js" "trend.js" JS
    "/viewer.js" "viewer.js" JS
    "/write.js" "write.js" JS
};

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_file_has_code_in_its_markup_or_anything_from_elsewhere() {
        for file in CONSOLE {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let own = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains("http://") && !own.contains("https://"), "{}", file.path);
            if file.content_type != HTML {
                continue;
            }
            for tag in text.split('<').skip(1) {
                let tag = tag.split('>').next().unwrap_or_default();
                let mut names = tag.split_whitespace().filter_map(|word| word.split_once('='));
                let bad = |(name, _): (&str, &str)| name.starts_with("on") || name == "style";
                assert!(!names.any(bad), "{}: <{tag}>", file.path);
                assert!(!tag.starts_with("script") || tag.contains("src="), "{}", file.path);
            }
        }
    }

    #[test]
    fn every_file_of_the_console_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console");
        let name = |file: std::io::Result<std::fs::DirEntry>| {
            file.unwrap().file_name().into_string().unwrap()
        };
        let found: BTreeSet<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
        let served = CONSOLE.iter().map(|file| match file.path {
            "/" => "index.html".to_owned(),
            path => path[1..].to_owned(),
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), found);
    }
}
