"""Menus for the person's role and the cohort's blinding rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QInputDialog, QLineEdit, QMenu, QMessageBox, QWidget

from napari_confseg.annotate.access import Role
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.store.schema import Blinding

ROLES: Final = {
    Role.READER: "Reader: keeps to the study's rule",
    Role.REVIEWER: "Reviewer: sees all",
}
RULES: Final[dict[Blinding, str]] = {
    "none": "From the start",
    "until-reviewed": "Once their own clip is reviewed",
    "always": "Only if a reviewer lets them",
}


_SEES_ALL: Final = (
    "This study is read blinded. A reviewer sees what all readers marked, at once.\n\n"
    "If you read clips of it yourself, your marks count as blinded no more: on each clip on which "
    "you are shown others, that is noted with your marks. Be a reviewer here?"
)


class Roles(QObject):
    """Puts two menus at the end of `menu`.

    Parameters
    ----------
    session : Session
        Whose role, and whose cohort's rule.
    menu : QMenu
        The cohort's menu.
    window : QWidget
        Parent of dialogs, and owner.
    """

    def __init__(self, session: Session, menu: QMenu, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        menu.addSeparator()
        self.roles: dict[Role, QAction] = {}
        self.rules: dict[str, QAction] = {}
        roles = menu.addMenu("You are here as")
        group = QActionGroup(self)
        for role, words in ROLES.items():
            self.roles[role] = group.addAction(words)
            self.roles[role].triggered.connect(lambda _on=False, r=role: self._on_role(r))
        roles.addActions(group.actions())
        self._rules = menu.addMenu("Readers see each other")
        group = QActionGroup(self)
        for rule, words in RULES.items():
            self.rules[rule] = group.addAction(words)
            self.rules[rule].triggered.connect(lambda _on=False, r=rule: self._on_rule(r))
        self._rules.addActions(group.actions())
        for action in (*self.roles.values(), *self.rules.values()):
            action.setCheckable(True)
        menu.aboutToShow.connect(self.show_now)
        self.show_now()

    def show_now(self) -> None:
        """Show role and rule as they are; a reader reads the rule and leaves it."""
        session = self._session
        self.roles[session.access.role].setChecked(True)
        self._rules.setEnabled(session.cohort is not None)
        if session.cohort is not None:
            self.rules[session.cohort.meta.blinding].setChecked(True)
        for action in self.rules.values():
            action.setEnabled(session.access.role is Role.REVIEWER)

    def _on_role(self, role: Role) -> None:
        session = self._session
        blinds = role is Role.REVIEWER and session.access.rule != "none"
        if not blinds or role is session.access.role or self._sure():
            session.reader.choose_role(role)
        self.show_now()

    def _sure(self) -> bool:
        """Ask before a reader of a blinded cohort sees all: what was seen cannot be unseen."""
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        answer = QMessageBox.question(self._window, "Review this study?", _SEES_ALL, yes | no, no)
        return bool(answer == yes)

    def _on_rule(self, rule: Blinding) -> None:
        try:
            self._session.access.set_rule(rule)
        except (StoreError, OSError) as error:
            problems = getattr(error, "problems", [error])
            self._session.message = f"The rule stays as it is: {problems[0]}"

    def ask_unblind(self) -> None:
        """Ask which reviewer lets this reader see the others on this clip."""
        name, ok = QInputDialog.getText(
            self._window,
            "Show the other readers?",
            "A reviewer may let this reader see the others on this clip.\n"
            "It is noted with the reader's marks, with the time. Name of the reviewer:",
            QLineEdit.EchoMode.Normal,
            "",
        )
        if ok:
            self._session.access.unblind(name)
