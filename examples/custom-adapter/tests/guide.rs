//! `docs/writing-an-adapter.md` shows this store: all of its code, and no other code.

const GUIDE: &str = include_str!("../../../docs/writing-an-adapter.md");
const CODE: [&str; 2] = [include_str!("../src/file.rs"), include_str!("../src/store.rs")];
const OTHERS: [&str; 3] =
    [include_str!("../src/lib.rs"), include_str!("conformance.rs"), include_str!("persistence.rs")];

/// Returns the lines without indentation and blank lines, so that a method can be shown without its `impl`.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Returns the blocks that are marked as this code: as `rust` and nothing more.
fn blocks() -> Vec<Vec<&'static str>> {
    let mut blocks = GUIDE.split("```rust\n").skip(1).map(|rest| rest.split("```").next());
    let blocks: Vec<_> = blocks.by_ref().flatten().map(lines).collect();
    assert!(blocks.len() > 10, "the page has few blocks");
    blocks
}

#[test]
fn every_block_of_the_guide_is_code_of_this_crate() {
    for block in blocks() {
        let found = CODE.iter().chain(&OTHERS).any(|file| {
            let file = lines(file);
            file.windows(block.len()).any(|window| window == block)
        });
        assert!(found, "this is not in the crate:\n{}", block.join("\n"));
    }
}

#[test]
fn all_code_of_the_store_is_in_the_guide() {
    let shown: Vec<_> = blocks().concat();
    for line in CODE.iter().flat_map(|file| lines(file)).filter(|line| !line.starts_with("//!")) {
        assert!(shown.contains(&line), "the guide does not show: {line}");
    }
}

#[test]
fn the_store_has_some_140_lines_of_code() {
    let files = CODE.iter().chain([&include_str!("../src/lib.rs")]);
    let code = files.flat_map(|file| lines(file)).filter(|line| !line.starts_with("//")).count();
    assert!(code < 145, "{code} lines");
}
