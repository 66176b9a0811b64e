"""voicebot: a phone server for customer service.

The package knows no business: what a business edits (pipelines, tools, policy,
articles, prompts) is a *deployment*, the set of folders beside this package.
"""

__version__ = "0.1.0"
