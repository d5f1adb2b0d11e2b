//! `update_plan`: the steps that the model has in mind, for the user to see. It changes nothing but the picture.

use std::fmt::Write as _;

use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Answer;
use crate::effects::Effects;
use crate::error::ToolError;
use crate::schema;

pub(crate) const NAME: &str = "update_plan";

const DESCRIPTION: &str = "Show the user the plan of a longer task. Give all steps each time; exactly one is in_progress until all are completed.";

/// The plan: both the arguments and the structured result.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Why the plan changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    plan: Vec<Step>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    step: String,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

pub(crate) fn tool() -> Tool {
    let annotations = ToolAnnotations::with_title("Update the plan").read_only(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Plan>())
        .with_raw_output_schema(schema::output::<Plan>())
        .with_annotations(annotations)
}

pub(crate) fn call(plan: &Plan) -> Answer {
    check(plan).map_err(ToolError::Arguments)?;
    let mut result = CallToolResult::success(vec![ContentBlock::text("Plan updated")]);
    result.structured_content = serde_json::to_value(plan).ok();
    Effects::Plan { plan: &plan.plan }.attach(&mut result);
    Ok(result)
}

/// Exactly one step is in progress, but for a plan that is not begun or is done.
fn check(plan: &Plan) -> Result<(), String> {
    let steps = &plan.plan;
    if steps.is_empty() {
        return Err("the plan has no steps".to_owned());
    }
    if let Some(empty) = steps.iter().position(|step| step.step.trim().is_empty()) {
        return Err(format!("step {} has no text", empty + 1));
    }
    let active: Vec<_> =
        steps.iter().enumerate().filter(|(_, step)| step.status == Status::InProgress).collect();
    let same = steps.iter().all(|step| step.status == steps[0].status);
    match active.as_slice() {
        [_] => Ok(()),
        [] if same => Ok(()),
        [] => Err("no step is in_progress; mark the one that you work on now".to_owned()),
        several => {
            let mut numbers = String::new();
            several.iter().for_each(|(i, _)| _ = write!(numbers, " {}", i + 1));
            Err(format!(
                "only one step can be in_progress, but these are:{numbers}; mark the others pending or completed"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    /// Letters stand for statuses: pending, in progress, completed.
    fn check(statuses: &str, expected: &str) {
        let steps = statuses.chars().map(|status| {
            let status = match status {
                'p' => "pending",
                'i' => "in_progress",
                _ => "completed",
            };
            json!({"step": "do it", "status": status})
        });
        let plan = serde_json::from_value(json!({"plan": steps.collect::<Vec<_>>()})).unwrap();
        let told = super::check(&plan).err().unwrap_or_default();
        assert_eq!(told.split(';').next().unwrap(), expected, "{statuses}");
    }

    #[test]
    fn one_step_is_in_progress() {
        check("cip", "");
        check("i", "");
        check("ppp", "");
        check("ccc", "");
        check("cp", "no step is in_progress");
        check("iip", "only one step can be in_progress, but these are: 1 2");
        check("", "the plan has no steps");
    }
}
