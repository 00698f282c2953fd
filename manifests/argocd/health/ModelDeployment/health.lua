-- Health of a daybreak.dev ModelDeployment. Reads observedGeneration and the conditions Ready, Stalled and Suspended;
-- any other condition may come and go without changing the verdict.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function said(kind, value)
  local condition = conditions[kind]
  return condition ~= nil and condition.status == value
end

local function verdict(health, kind)
  local condition = conditions[kind]
  local text = "Waiting for the operator"
  if condition ~= nil then
    text = condition.message
    if text == nil or text == "" then
      text = condition.reason
    end
  end
  return {status = health, message = text}
end

if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "Waiting for the operator"}
end
if said("Ready", "True") then
  return verdict("Healthy", "Ready") -- the stable model serves, whatever a rollout does
end
if said("Stalled", "True") then
  return verdict("Degraded", "Stalled")
end
if said("Suspended", "True") then
  return verdict("Suspended", "Suspended")
end
return verdict("Progressing", "Ready")
