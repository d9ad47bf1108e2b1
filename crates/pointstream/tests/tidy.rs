//! The rules that hold the workspace together, as tests. Each rule is a function over the tree, so
//! that it can be shown once what it is there to catch.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the rules look at.
#[derive(Default)]
struct Tree {
    /// Path from the root and text of every file that git would keep.
    files: BTreeMap<String, String>,
    /// Every package of the workspace.
    packages: Vec<Package>,
}

#[derive(Clone, Default)]
struct Package {
    name: String,
    /// Direct dependencies that are built into it, under any feature.
    deps: BTreeSet<String>,
    /// Everything that is built into it, under any feature.
    tree: BTreeSet<String>,
    /// Everything that is built into it with its default features off.
    bare_tree: BTreeSet<String>,
}

type Rule = fn(&Tree) -> Vec<String>;

/// Which crates of the workspace each crate may be built on.
const ARROWS: &[(&str, &[&str])] = &[
    ("pointstream-time", &[]),
    ("pointstream-patch", &[]),
    ("pointstream-point", &["time"]),
    ("pointstream-net", &["time"]),
    ("pointstream-points", &["point", "time"]),
    ("pointstream-conn", &["point", "time"]),
    ("pointstream-hub", &["patch", "time"]),
    ("pointstream-store", &["point"]),
    ("pointstream-http", &["hub", "net", "point", "time"]),
    ("pointstream-iotmp", &["conn", "net", "point", "time"]),
    ("pointstream-modbus", &["conn", "net", "point", "time"]),
    ("pointstream-mqtt", &["conn", "net", "point", "time"]),
    ("pointstream-poll", &["hub", "net", "patch", "time"]),
    ("pointstream-test", &["conn", "net", "point", "time"]),
    (
        "pointstream",
        &[
            "conn", "http", "hub", "iotmp", "modbus", "mqtt", "net", "patch", "point", "points",
            "store", "time",
        ],
    ),
];

const LAYER_0: &[&str] = &["pointstream-time", "pointstream-point", "pointstream-patch"];
const LAYER_2: &[&str] =
    &["pointstream-iotmp", "pointstream-modbus", "pointstream-mqtt", "pointstream-poll"];

fn arrows_run_downward(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for package in &tree.packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            if package.name.starts_with("pointstream-") && is_crate(tree, &package.name) {
                broken.push(format!("{} is in no layer: add it to ARROWS", package.name));
            }
            continue;
        };
        for dep in &package.deps {
            let ours = dep.strip_prefix("pointstream-");
            if ours.is_some_and(|ours| !allowed.contains(&ours)) || dep == "pointstream" {
                broken.push(format!("{} may not be built on {dep}", package.name));
            }
        }
    }
    broken
}

fn is_crate(tree: &Tree, name: &str) -> bool {
    tree.files.contains_key(&format!("crates/{name}/Cargo.toml"))
}

fn is_core(name: &str) -> bool {
    LAYER_2.contains(&name)
}

fn tokio_stays_out_of_the_cores(tree: &Tree) -> Vec<String> {
    let layer = |layer: &[&str], package: &Package| layer.contains(&package.name.as_str());
    let has = |tree: &BTreeSet<String>| tree.iter().any(|name| name.starts_with("tokio"));
    let packages = tree.packages.iter();
    packages
        .filter(|p| (layer(LAYER_0, p) && has(&p.tree)) || (layer(LAYER_2, p) && has(&p.bare_tree)))
        .map(|package| format!("{} brings tokio", package.name))
        .collect()
}

/// Dependencies that one crate alone may name.
const OWNERS: &[(&str, &str)] = &[
    ("axum", "pointstream-http"),
    ("redb", "pointstream-store"),
    ("rustls", "pointstream-net"),
    ("tokio-rustls", "pointstream-net"),
    ("tungstenite", "pointstream-net"),
];

fn heavy_dependencies_have_one_owner(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for package in &tree.packages {
        for (dep, owner) in OWNERS {
            if package.deps.contains(*dep) && package.name != *owner {
                broken.push(format!("{} names {dep}, which only {owner} may", package.name));
            }
        }
    }
    broken
}

/// Where `tokio::` may be named.
fn may_name_tokio(path: &str) -> bool {
    const CRATES: &[&str] = &["net", "http", "test"];
    const FILES: &[&str] = &["shell.rs", "driver.rs", "server.rs", "sink.rs"];
    let file = path.rsplit('/').next().unwrap_or_default();
    CRATES.iter().any(|name| path.starts_with(&format!("crates/pointstream-{name}/")))
        || FILES.contains(&file)
        || ["/driver/", "/server/", "/io/", "/sinks/"].iter().any(|dir| path.contains(dir))
        || path.starts_with("crates/pointstream/")
        || !path.starts_with("crates/")
        || path.contains("/tests/")
        || path.contains("/examples/")
}

fn only_shells_name_tokio(tree: &Tree) -> Vec<String> {
    let sources = rust_sources(tree).filter(|(path, _)| !may_name_tokio(path));
    sources
        .filter(|(_, text)| {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.into_iter().any(|line| line.contains("tokio::"))
        })
        .map(|(path, _)| format!("{path} names tokio"))
        .collect()
}

/// How long a source file may be, in lines.
const LINES_MAX: usize = 800;

fn files_are_short(tree: &Tree) -> Vec<String> {
    let long = rust_sources(tree).filter(|(_, text)| text.lines().count() > LINES_MAX);
    long.map(|(path, text)| format!("{path} has {} lines", text.lines().count())).collect()
}

fn every_manifest_takes_the_lints(tree: &Tree) -> Vec<String> {
    let manifests = tree
        .files
        .iter()
        .filter(|(path, _)| path.ends_with("/Cargo.toml") && !path.starts_with("fuzz/"));
    manifests
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| format!("{path} lacks `[lints] workspace = true`"))
        .collect()
}

fn every_crate_has_its_paragraph(tree: &Tree) -> Vec<String> {
    let page = tree.files.get("docs/ARCHITECTURE.md").map(String::as_str).unwrap_or_default();
    let names = ARROWS.iter().map(|(name, _)| *name).filter(|name| is_crate(tree, name));
    names
        .filter(|name| !page.contains(&format!("**`{name}`**")))
        .map(|name| format!("docs/ARCHITECTURE.md has no paragraph that begins with **`{name}`**"))
        .collect()
}

fn every_driver_has_its_page(tree: &Tree) -> Vec<String> {
    let drivers = tree.files.keys().filter_map(|path| {
        let name = path.strip_prefix("crates/pointstream-")?.strip_suffix("/src/driver.rs")?;
        (name != "conn").then_some(name)
    });
    drivers
        .filter(|name| {
            let page = tree.files.get(&format!("docs/drivers/{name}.md"));
            !page.is_some_and(|page| page.contains("```toml"))
        })
        .map(|name| format!("docs/drivers/{name}.md is missing or has no sample configuration"))
        .collect()
}

fn nothing_is_put_off(tree: &Tree) -> Vec<String> {
    // Written in two parts, so that this file does not find itself.
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    let mut broken = Vec::new();
    for (path, text) in rust_sources(tree) {
        for mark in marks.iter().filter(|mark| text.contains(**mark)) {
            broken.push(format!("{path} has {mark}"));
        }
    }
    broken
}

fn libraries_install_no_globals(tree: &Tree) -> Vec<String> {
    let marks = [
        concat!("std::env::", "var"),
        concat!("install_", "default("),
        concat!("set_global_", "default("),
        concat!("set_panic_", "hook"),
        concat!("tokio::signal", "::"),
    ];
    let mut broken = Vec::new();
    let libraries = rust_sources(tree)
        .filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/"));
    for (path, text) in libraries {
        for mark in marks.iter().filter(|mark| text.contains(**mark)) {
            broken.push(format!("{path} has {mark}"));
        }
    }
    broken
}

fn the_changelog_is_kept(tree: &Tree) -> Vec<String> {
    let page = tree.files.get("CHANGELOG.md").map(String::as_str).unwrap_or_default();
    let kept = page.contains("\n## Unreleased\n");
    if kept { Vec::new() } else { vec!["CHANGELOG.md has no section Unreleased".into()] }
}

const RULES: &[(&str, Rule)] = &[
    ("arrows_run_downward", arrows_run_downward),
    ("tokio_stays_out_of_the_cores", tokio_stays_out_of_the_cores),
    ("heavy_dependencies_have_one_owner", heavy_dependencies_have_one_owner),
    ("only_shells_name_tokio", only_shells_name_tokio),
    ("files_are_short", files_are_short),
    ("every_manifest_takes_the_lints", every_manifest_takes_the_lints),
    ("every_crate_has_its_paragraph", every_crate_has_its_paragraph),
    ("every_driver_has_its_page", every_driver_has_its_page),
    ("nothing_is_put_off", nothing_is_put_off),
    ("libraries_install_no_globals", libraries_install_no_globals),
    ("the_changelog_is_kept", the_changelog_is_kept),
];

fn rust_sources(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.files.iter().filter(|(path, _)| path.ends_with(".rs"))
}

#[test]
fn the_tree_is_tidy() {
    let tree = read_tree();
    assert!(tree.packages.len() >= ARROWS.len(), "the packages were found");
    assert!(rust_sources(&tree).count() > 50, "the sources were found");
    let broken: Vec<String> = RULES
        .iter()
        .flat_map(|(name, rule)| rule(&tree).into_iter().map(move |text| format!("{name}: {text}")))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn each_rule_catches_what_it_is_there_for() {
    for (name, rule) in RULES {
        let broken = rule(&broken_tree(name));
        assert_eq!(broken.len(), 1, "{name} found {broken:?}");
    }
}

/// A tree that breaks one rule in one place.
fn broken_tree(rule: &str) -> Tree {
    let mut tree = Tree::default();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut file = |path: &str, text: String| drop(tree.files.insert(path.into(), text));
    let mut package = Package { name: "pointstream-hub".into(), ..Package::default() };
    match rule {
        "arrows_run_downward" => package.deps = set(&["pointstream-point"]),
        "tokio_stays_out_of_the_cores" => {
            package.name = "pointstream-patch".into();
            package.tree = set(&["bytes", "tokio"]);
        }
        "heavy_dependencies_have_one_owner" => package.deps = set(&["axum"]),
        "only_shells_name_tokio" => {
            file("crates/pointstream-hub/src/hub.rs", "use tokio::sync::Mutex;".into());
            file("crates/pointstream-hub/src/shell.rs", "use tokio::sync::Mutex;".into());
        }
        "files_are_short" => {
            file("crates/pointstream-hub/src/a.rs", "\n".repeat(LINES_MAX));
            file("crates/pointstream-hub/src/b.rs", "\n".repeat(LINES_MAX + 1));
        }
        "every_manifest_takes_the_lints" => file("crates/x/Cargo.toml", "[package]".into()),
        "every_crate_has_its_paragraph" => file("crates/pointstream-hub/Cargo.toml", "".into()),
        "every_driver_has_its_page" => file("crates/pointstream-x/src/driver.rs", "".into()),
        "nothing_is_put_off" => {
            file("crates/x/src/a.rs", concat!("fn a() { todo", "!() }").into());
        }
        "libraries_install_no_globals" => {
            file("crates/x/src/a.rs", concat!("std::env::", "var(\"HOME\")").into());
        }
        "the_changelog_is_kept" => file("CHANGELOG.md", "# Changelog\n".into()),
        other => panic!("no example of what {other} catches"),
    }
    tree.packages.push(package);
    tree
}

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above");
    crates.parent().expect("the root").to_owned()
}

fn read_tree() -> Tree {
    let mut files = BTreeMap::new();
    for dir in ["crates", "examples", "benches", "fuzz", "docs"] {
        collect(&root(), &root().join(dir), &mut files);
    }
    for name in ["CHANGELOG.md", "README.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        files.insert(name.to_owned(), text);
    }
    let packages = packages(&metadata());
    Tree { files, packages }
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "node_modules" && name != "corpus" {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "toml" || ext == "md") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let path = path.strip_prefix(root).expect("a path below the root");
            files.insert(path.to_string_lossy().replace('\\', "/"), text);
        }
    }
}

/// What a command prints. Nothing is fetched: what is built has been fetched before.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn cargo(arguments: &[&str]) -> String {
    run(option_env!("CARGO").unwrap_or("cargo"), arguments)
}

fn metadata() -> serde_json::Value {
    let about = run("rustc", &["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let format = ["metadata", "--format-version", "1", "--offline", "--all-features"];
    let text = cargo(&[&format[..], &["--filter-platform", host]].concat());
    serde_json::from_str(&text).expect("cargo metadata is JSON")
}

/// Everything that is built into a package with its default features off, whatever the other
/// members of the workspace ask of it.
fn bare_tree(name: &str) -> BTreeSet<String> {
    let lines = cargo(&[
        "tree",
        "-p",
        name,
        "--no-default-features",
        "-e",
        "normal",
        "--prefix",
        "none",
        "--offline",
    ]);
    lines.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn packages(full: &serde_json::Value) -> Vec<Package> {
    let array = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = array(&full["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    // Only what is built into a package: neither its tests nor its build script count.
    let graph = |metadata: &serde_json::Value| -> BTreeMap<String, Vec<String>> {
        let normal = |dep: &&serde_json::Value| {
            array(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
        };
        let nodes = array(&metadata["resolve"]["nodes"]);
        let deps = |node: &serde_json::Value| {
            array(&node["deps"]).iter().filter(normal).map(|dep| text(&dep["pkg"])).collect()
        };
        nodes.iter().map(|node| (text(&node["id"]), deps(node))).collect()
    };
    let full_graph = graph(full);
    let reach = |graph: &BTreeMap<String, Vec<String>>, from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(id) = open.pop() {
            for dep in graph.get(&id).into_iter().flatten() {
                if seen.insert(names.get(dep).cloned().unwrap_or_default()) {
                    open.push(dep.clone());
                }
            }
        }
        seen
    };
    let members = array(&full["workspace_members"]);
    let package = |id: &serde_json::Value| {
        let id = text(id);
        let deps = full_graph.get(&id).into_iter().flatten();
        let name = names.get(&id).cloned().unwrap_or_default();
        Package {
            bare_tree: if is_core(&name) { bare_tree(&name) } else { BTreeSet::new() },
            name,
            deps: deps.filter_map(|dep| names.get(dep).cloned()).collect(),
            tree: reach(&full_graph, &id),
        }
    };
    members.iter().map(package).collect()
}
