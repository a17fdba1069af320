//! Arenas as bytes, to be kept where a file need not be parsed again: about seven bytes a node.
//!
//! What is unpacked has the form of an [`Ast`], whatever the bytes are: nodes stand in order, each within its parent. That they are
//! those of a text is for whoever keeps the bytes to see to.

use super::ast::{Ast, NodeData};
use super::kind::{Field, Kind};

/// Marks the field of a node that has an error.
const ERROR: u8 = 0x80;

impl Ast {
    /// The arena as bytes; `None` where its nodes are not in the order of the text, which the form takes for granted.
    pub fn pack(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(8 * self.nodes.len() + 8);
        out.push(u8::from(self.too_deep));
        put(&mut out, self.nodes.len() as u32);
        let mut last = 0;
        for (id, node) in (0..).zip(&self.nodes) {
            out.push(node.kind as u8);
            out.push(node.field as u8 | if node.has_error { ERROR } else { 0 });
            put(&mut out, node.start.checked_sub(last)?);
            put(&mut out, node.end.checked_sub(node.start)?);
            put(&mut out, node.subtree_end.checked_sub(id)?);
            last = node.start;
        }
        Some(out)
    }

    /// The arena of a text of `length` bytes that was packed into `bytes`; `None` if they hold none.
    pub fn unpack(bytes: &[u8], length: u32) -> Option<Ast> {
        let mut bytes = bytes.iter();
        let too_deep = match bytes.next()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let count = take(&mut bytes)?;
        // A node takes five bytes at least, so that no count makes room for more than there is.
        if count as usize > bytes.len() / 5 {
            return None;
        }
        let mut nodes: Vec<NodeData> = Vec::with_capacity(count as usize);
        // The nodes that the next one may be in, with the ends of their subtrees and spans.
        let mut open: Vec<(u32, u32, u32)> = Vec::new();
        let mut last = 0;
        for id in 0..count {
            while open.last().is_some_and(|(_, subtree_end, _)| *subtree_end == id) {
                open.pop();
            }
            let (parent, subtree_limit, limit) = match open.last() {
                Some(parent) => *parent,
                // There is one root.
                None if id == 0 => (0, count, length),
                None => return None,
            };
            let kind = Kind::of(*bytes.next()?)?;
            let field = *bytes.next()?;
            let start = u32::checked_add(last, take(&mut bytes)?)?;
            let end = start.checked_add(take(&mut bytes)?)?;
            let subtree_end = id.checked_add(take(&mut bytes)?)?;
            if end > limit || subtree_end <= id || subtree_end > subtree_limit {
                return None;
            }
            let (has_error, field) = (field & ERROR != 0, Field::of(field & !ERROR)?);
            nodes.push(NodeData { start, end, parent, subtree_end, kind, field, has_error });
            open.push((id, subtree_end, end));
            last = start;
        }
        bytes.next().is_none().then_some(Ast { nodes, too_deep })
    }
}

/// Write a number, seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let mut number = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.next()?;
        let bits = u32::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const TEXT: &str = "\
async def f(x: int = 1, *, y):  # why
    async for a in x:
        b = a.c not in {**d, 'é': [i for i in x if i]}
    return f\"{x!r:>{y}}\" if x else (yield)


class C(B, metaclass=M):
    x: int
    def broken(:
        pass
";

    fn check(text: &str) -> usize {
        let ast = parse(text);
        let packed = ast.pack().unwrap();
        let again = Ast::unpack(&packed, text.len() as u32).unwrap();
        assert_eq!((&again.nodes, again.too_deep), (&ast.nodes, ast.too_deep), "{text:?}");
        packed.len()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let deep = format!("{}1{}", "(".repeat(2000), ")".repeat(2000));
        for text in
            ["", "\n", "x", "x = 1\r\ny = 2\r", "\u{feff}x = 1", "if (:\n", TEXT, &deep, &TEXT.repeat(300)]
        {
            check(text);
        }
        for end in (0..TEXT.len()).filter(|end| TEXT.is_char_boundary(*end)) {
            check(&TEXT[..end]);
            check(&TEXT[end..]);
        }
        let many = TEXT.repeat(300);
        assert!(check(&many) < 8 * parse(&many).len());
    }

    #[test]
    fn whatever_is_unpacked_is_an_arena() {
        let packed = parse(TEXT).pack().unwrap();
        let length = TEXT.len() as u32;
        for end in 0..packed.len() {
            assert!(Ast::unpack(&packed[..end], length).is_none(), "{end}");
        }
        assert!(Ast::unpack(&[&packed[..], &[0]].concat(), length).is_none());
        assert!(Ast::unpack(&packed, length - 1).is_none());
        for bytes in
            [&[][..], &[2], &[0, 1], &[0, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert!(Ast::unpack(bytes, length).is_none(), "{bytes:?}");
        }
        let mut kept = 0;
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut bytes = packed.clone();
                bytes[at] ^= 1 << bit;
                let Some(ast) = Ast::unpack(&bytes, length) else { continue };
                kept += 1;
                for (id, node) in (0u32..).zip(&ast.nodes) {
                    assert!(node.start <= node.end && node.end <= length);
                    assert!(id < node.subtree_end && node.subtree_end as usize <= ast.len());
                    if id > 0 {
                        let parent = &ast.nodes[node.parent as usize];
                        assert!(node.parent < id && node.subtree_end <= parent.subtree_end);
                        assert!(parent.start <= node.start && node.end <= parent.end);
                    }
                }
            }
        }
        assert!(kept > 0);
    }
}
