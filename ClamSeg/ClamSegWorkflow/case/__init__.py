"""The reading of a case: from a scan over the worker's result to a reviewed and exported one.

Every front uses it: nothing here knows Qt or a browser. A front brings the scene, a worker and a listener.
"""
