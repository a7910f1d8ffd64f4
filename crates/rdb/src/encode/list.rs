//! Lists: nodes that are listpacks of up to 8 KiB, and nodes that are one large element.

use super::Compression;
use super::output::Output;
use crate::{kind, listpack};

/// Redis' `list-max-listpack-size -2`.
const NODE_BYTES_MAX: usize = 8 << 10;
/// What Redis reckons an element to take besides its bytes.
const ELEMENT_OVERHEAD_BYTES: usize = 8;

#[derive(Debug)]
pub struct ListWriter {
    output: Output,
    node: listpack::Writer,
    nodes: u64,
}

impl ListWriter {
    pub fn new(compression: Compression) -> Self {
        let output = Output::new(kind::LIST_QUICKLIST_2, compression);
        Self { output, node: listpack::Writer::new(), nodes: 0 }
    }

    pub fn element(&mut self, element: &[u8]) {
        if element.len() > NODE_BYTES_MAX {
            self.close_node();
            return self.put_node(kind::NODE_PLAIN, element);
        }
        if self.node.len() + element.len() + ELEMENT_OVERHEAD_BYTES > NODE_BYTES_MAX {
            self.close_node();
        }
        self.node.push(element);
    }

    fn close_node(&mut self) {
        let node = std::mem::replace(&mut self.node, listpack::Writer::new());
        if node.is_empty() {
            return;
        }
        // A node of this size is never too large for a listpack.
        if let Ok(node) = node.finish() {
            self.put_node(kind::NODE_PACKED, &node);
        }
    }

    fn put_node(&mut self, container: u64, content: &[u8]) {
        self.output.length(container);
        self.output.string(content);
        self.nodes += 1;
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.close_node();
        self.output.put_count_first(self.nodes);
        self.output.finish()
    }
}
