"""The scene with Slicer's logics, and its views: four for a volume, one for a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

from ClamSegWorkflow.scene.scan_facts import reading_of

FOUR, ONE = "four", "one"
AXIAL, CORONAL, SAGITTAL, SOLID = "Red", "Green", "Yellow", "ThreeD"
ORIENTATIONS = {AXIAL: "Axial", CORONAL: "Coronal", SAGITTAL: "Sagittal"}
_THIN_RULER = 1
# Of JPEG, in percent: that of a view at rest. Any other for one that moves has each change drawn a second time a quarter of a
# second later, in the page's loop, and without a graphics card a 3-D view takes a tenth of a second and more.
_QUALITY = 90


class SceneViews:
    """One scene, its logics and views.

    Args:
        server: trame's.
        slice_ui: draws what lies over a slice view in the page: (server, view id, view).
        solid_ui: likewise for the 3-D view.
    """

    def __init__(self, server: Any, slice_ui: Callable[..., None], solid_ui: Callable[..., None]) -> None:
        # Errors of VTK go to the console once; its warnings are for those who build views, not for readers.
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)
        self.app = SlicerApp()
        vtk.vtkOutputWindow.GetInstance().SetDisplayModeToNever()
        self.scene = self.app.scene
        register_rca_factories(
            self.app.view_manager, server, slice_view_ui_f=slice_ui, three_d_view_ui_f=solid_ui,
            target_fps=20.0, blur_fps=12.0, interactive_quality=_QUALITY,
        )  # fmt: skip
        self.layouts = LayoutManager(self.scene, self.app.view_manager, server)
        slices = {
            name: ViewLayoutDefinition.slice_view(ORIENTATIONS[name], label=name, color=colour)
            for name, colour in ((AXIAL, "#F34A33"), (CORONAL, "#6DAD4A"), (SAGITTAL, "#EFD64D"))
        }
        solid = ViewLayoutDefinition.threed_view(name=SOLID, background_color=("#101418", "#101418"))
        left = Layout(LayoutDirection.Vertical, [slices[AXIAL], slices[CORONAL]])
        right = Layout(LayoutDirection.Vertical, [solid, slices[SAGITTAL]])
        self.layouts.register_layout(FOUR, Layout(LayoutDirection.Horizontal, [left, right]))
        self.layouts.register_layout(ONE, Layout(LayoutDirection.Vertical, [slices[AXIAL]]))
        for name, view in {**slices, SOLID: solid}.items():
            self.layouts.register_layout(name, Layout(LayoutDirection.Vertical, [view]))
        self._usual = FOUR
        self.layouts.set_layout(FOUR)
        for view in self.app.view_manager.get_views():
            # Eight samples a pixel cost five times the time of a slice and show nothing more.
            view.render_window().SetMultiSamples(0)
        # Without a graphics card peeling takes most of a picture's time; one veil over solid lesions needs no order.
        self.view(SOLID).renderer().SetUseDepthPeeling(False)

        self.app.app_logic.GetInteractionNode().SetCurrentInteractionMode(
            slicer.vtkMRMLInteractionNode.AdjustWindowLevel
        )

    @property
    def slices(self) -> list[Any]:
        """Slice views that are shown now."""
        manager = self.app.view_manager
        return list(manager.filter_visible_views(manager.get_slice_views()))

    def view(self, name: str) -> Any:
        """A view by name."""
        return self.app.view_manager.get_view(name)

    def show(self, volume: Any, *, is_picture: bool) -> None:
        """A scan behind all slices, as large as the views allow; rulers only where mm are known."""
        self._usual = ONE if is_picture else FOUR
        self.layouts.set_layout(self._usual)
        self.show_cross(False)
        self.app.display_manager.show_volume_in_slice_background(volume)
        self.app.display_manager.show_volume_in_slice_foreground(None)
        has_ruler = reading_of(volume).spacing_known and not is_picture
        for view in self.app.view_manager.get_views():
            view.set_ruler(_THIN_RULER if has_ruler and view.get_singleton_tag() != SOLID else 0)
        self.fit()

    def enlarge(self, name: str) -> bool:
        """One view alone, or all again where it was alone; whether it is alone now."""
        is_alone = self.layouts.layout_id == name
        self.layouts.set_layout(self._usual if is_alone else name)
        self.draw()
        return not is_alone

    def show_nothing(self) -> None:
        """No scan is open: neither cross nor ruler is left of the last one."""
        self.show_cross(False)
        for view in self.app.view_manager.get_views():
            view.set_ruler(0)
        self._forget_images()
        self.draw()

    def _forget_images(self) -> None:
        """Layers of slices keep the image of a volume that is gone as the input of their reslicing: all of a closed scan."""
        logics = self.app.app_logic.GetSliceLogics()
        for number in range(logics.GetNumberOfItems()):
            logic = logics.GetItemAsObject(number)
            for layer in (logic.GetBackgroundLayer(), logic.GetForegroundLayer(), logic.GetLabelLayer()):
                if layer is not None and layer.GetVolumeNode() is None:
                    layer.GetReslice().RemoveAllInputConnections(0)
                    layer.GetResliceUVW().RemoveAllInputConnections(0)

    def show_cross(self, visible: bool) -> None:
        """The cross that marks the lesion the reader went to; it belongs to one scan."""
        node = slicer.vtkMRMLCrosshairNode
        mode = node.ShowSmallBasic if visible else node.NoCrosshair
        self.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCrosshairMode(mode)

    def fit(self) -> None:
        """Every view back to the whole scan."""
        for view in self.app.view_manager.get_views():
            view.reset_view()

    def draw(self) -> None:
        """Every view is drawn again soon."""
        for view in self.app.view_manager.get_views():
            view.schedule_render()

    def draw_slices(self) -> None:
        """The slices alone; the 3-D view, which takes longest, is drawn when its surfaces are there."""
        for view in self.slices:
            view.schedule_render()

    def draw_solid(self) -> None:
        """The 3-D view alone."""
        self.view(SOLID).schedule_render()

    def fit_solid(self) -> None:
        """The 3-D view back to all that it shows."""
        self.view(SOLID).reset_view()
