"""A remediation plan for a multi-user AI-agent chat backend, made executable and falsifiable."""
