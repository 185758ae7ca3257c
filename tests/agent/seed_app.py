"""The index of an app with an agent and the policies of requirement document 000."""

INDEX = """
namespace: app
entries:
  - name: dev_assistant
    kind: registry.entry
    meta: {type: agent.gen1, name: dev_assistant}
    prompt: You help.
    tools: ["app.tools:*"]
  - name: deny_core_ns
    kind: security.policy
    policy: {actions: "*", resources: "app:*", effect: deny}
    groups: [agent_security]
  - name: deny_tools_ns
    kind: security.policy
    policy: {actions: "*", resources: "app.tools:*", effect: deny}
    groups: [agent_security]
  - name: allow_generated
    kind: security.policy
    policy: {actions: registry.*, resources: "app.generated:*", effect: allow}
    groups: [agent_security]
"""
