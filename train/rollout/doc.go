// Package rollout lets a policy answer prompts, for learning from rewards: it generates, asks for rewards, and makes the batches of which
// ppo and grpo take their losses.
package rollout
