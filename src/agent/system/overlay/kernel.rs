//! The kernel and the host's name in a dry run.

use super::{Absence, Overlay};
use crate::module::Result;
use crate::system::{Found, KernelParameter};

impl Overlay {
    pub(super) fn kernel_parameter_pending(&self, name: &str) -> Result<Found<KernelParameter>> {
        if let Some(value) = self
            .pending
            .kernel_parameters
            .get(&KernelParameter::path(name))
        {
            return Ok(Found::Present(KernelParameter {
                value: value.clone(),
                writable: true,
            }));
        }
        Ok(match self.base.kernel_parameter(name)? {
            // A command may load the module that has it.
            Found::Absent if self.pending.ran_commands => {
                Found::Unknown("the commands before it".to_owned())
            }
            found => found,
        })
    }

    pub(super) fn set_kernel_parameter(&mut self, name: &str, value: &str) -> Result<()> {
        let found = self.kernel_parameter_pending(name)?;
        if self.absence == Absence::Doubtful {
            match found {
                Found::Absent => return Err(KernelParameter::missing(name)),
                Found::Present(parameter) if !parameter.writable => {
                    return Err(KernelParameter::refused(name));
                }
                _ => {}
            }
        }
        let parameters = &mut self.pending.kernel_parameters;
        parameters.insert(KernelParameter::path(name), value.to_owned());
        Ok(())
    }
}
