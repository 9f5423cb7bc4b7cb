"""A stand-in for Slicer's Qt layer: the panel of the extension runs on PySide6, without Slicer.

The MRML scene is the real one of slicer-core. `qt`, `ctk` and the widgets behave as PythonQt shows them: properties
are attributes, methods are calls, and what slicer-api.json does not list does not exist. In a test:

    def test_apply_becomes_cancel(window):                  # fixture of Testing/extension/conftest.py
        window.choose("organSelector", "whole image")      # a user's hands: click, choose, tick, drag, type_text,
        window.click("applyButton")                         #   set_value, press (a key), click_cell, open (a section)
        assert window.text("applyButton") == "Cancel"       # eyes: text, entries, cells, shown
        window.worker.answer()                              # the fake worker of Testing/extension/fakes.py
        window.wait_until(lambda: window.text("applyButton") == "Segment")
        assert window.dialogs.errors() == []                # message boxes are kept, not shown; dialogs.says_yes,
                                                            #   dialogs.paths, dialogs.texts are the user's answers
        window.grab(tmp_path / "panel.png", "segmentSection")   # a picture of the panel or of one section

`window.ui`, `window.panel`, `window.logic`, `window.scene` are the module's own. Exceptions in slots, which Slicer
prints and survives, and connections to signals that do not exist fail the test at its end. `real_window` is the same
with the real worker process. A class that the list lacks is named, with its source, in unlisted_classes.py.
"""
