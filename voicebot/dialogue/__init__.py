"""An input becomes a plan, a plan becomes a commit. Never touches a sample of sound."""
