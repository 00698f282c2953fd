"""How a model reaches its users: target, rollout steps, guardrails, sizing, routing, blockers."""
