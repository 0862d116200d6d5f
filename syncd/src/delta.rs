//! Encodes a snapshot once for each baseline: viewers that have the same and see the same share
//! the bytes.

use std::sync::Arc;

use bytes::Bytes;
use protocol::snapshot::{self, Schema, View};

use crate::room::{Output, SnapshotTarget};

/// The bodies of one room's snapshot at one tick.
#[derive(Debug)]
pub(crate) struct SharedBodies<'a> {
    schema: &'a Schema,
    full: Arc<View>,
    bodies: Vec<SharedBody>,
}

#[derive(Debug)]
struct SharedBody {
    baseline: Option<Arc<View>>,
    view: Arc<View>,
    bytes: Bytes,
    targets: Vec<SnapshotTarget>,
}

impl<'a> SharedBodies<'a> {
    /// No bodies yet of the state `full`.
    pub(crate) fn new(schema: &'a Schema, full: Arc<View>) -> Self {
        Self {
            schema,
            full,
            bodies: Vec::new(),
        }
    }

    pub(crate) fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// The whole room, as a viewer without limits sees it.
    pub(crate) fn full(&self) -> &Arc<View> {
        &self.full
    }

    /// Bytes of the body that takes a viewer from `baseline` to `view`.
    pub(crate) fn len(&mut self, baseline: Option<&Arc<View>>, view: &Arc<View>) -> usize {
        self.body(baseline, view).bytes.len()
    }

    /// Adds someone whom that body is for.
    pub(crate) fn address(
        &mut self,
        baseline: Option<&Arc<View>>,
        view: &Arc<View>,
        target: SnapshotTarget,
    ) {
        self.body(baseline, view).targets.push(target);
    }

    /// Those bodies that somebody gets.
    pub(crate) fn into_outputs(self) -> impl Iterator<Item = Output> {
        let bodies = self.bodies.into_iter();
        bodies
            .filter(|body| !body.targets.is_empty())
            .map(|body| Output::Snapshot {
                body: body.bytes,
                targets: body.targets,
            })
    }

    fn body(&mut self, baseline: Option<&Arc<View>>, view: &Arc<View>) -> &mut SharedBody {
        let same = |body: &SharedBody| {
            let same_baseline = match (&body.baseline, baseline) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            same_baseline && Arc::ptr_eq(&body.view, view)
        };
        let index = match self.bodies.iter().position(same) {
            Some(index) => index,
            None => {
                let bytes = snapshot::encode(self.schema, baseline.map(Arc::as_ref), view);
                self.bodies.push(SharedBody {
                    baseline: baseline.cloned(),
                    view: Arc::clone(view),
                    bytes: bytes.into(),
                    targets: Vec::new(),
                });
                self.bodies.len() - 1
            }
        };
        &mut self.bodies[index]
    }
}
