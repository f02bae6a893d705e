"""The fidelity "wire": the real `AgentServer` and the real `AgentClient` over a virtual network, in virtual time."""
