"""What the watches have seen: both kinds, their children by owner, nodes under notice. Read instead of the API.

Owns the newest known version of every object and whom a change concerns; does no I/O, is used by one thread.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_operator.core.deployment.observed.peers import PeerDeployment
from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.observed.neighbours import Neighbour
from daybreak_operator.shell.watches.kept import DEFAULT_INTERVAL_S, Kept, Own, followed_of, key_of
from daybreak_operator.shell.watches.keys import Body, ObjectKey, Priority, version_of
from daybreak_operator.shell.watches.outputs import Outputs
from daybreak_operator.shell.watches.told import Told

ChildId = tuple[str, str, str, str]
"""API version, kind, namespace, name."""

MAX_READ = 64
"""Objects that are kept as they were read from their text: a pass reads an object and its children more than once."""
NOTICE_TAINTS = frozenset(
    {
        "cloud.google.com/impending-node-termination",  # GKE, 30 s before a spot machine goes
        "node.kubernetes.io/out-of-service",
        "karpenter.sh/disrupted",
        "ToBeDeletedByClusterAutoscaler",
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/rebalance-recommendation",
        "kubernetes.azure.com/scalesetpriority-eviction",
        f"{names.GROUP}/reclaim",
    }
)
NOTICE_CONDITIONS = frozenset({"Reclaimed", "SpotInterruption", "VMEventScheduled", "PreemptScheduled"})
"""Condition types, true when the machine was given notice (AKS's node problem detector sets the latter two)."""


def child_id(body: Object) -> ChildId:
    """Return what tells a child apart."""
    metadata = body["metadata"]
    return body["apiVersion"], body["kind"], metadata.get("namespace", ""), metadata["name"]


def _called(child: Object) -> ObjectKey:
    """Return what a child's owner is called."""
    metadata = child["metadata"]
    labels = metadata.get("labels") or {}
    owner = labels.get(names.LABEL_OWNER_KIND, ""), labels.get(names.LABEL_OWNER, "")
    return ObjectKey(owner[0], metadata.get("namespace", ""), owner[1])


def has_notice(node: Object) -> bool:
    """Return whether a node was told that it is going to be taken away."""
    taints = {taint["key"] for taint in node.get("spec", {}).get("taints") or ()}
    conditions = node.get("status", {}).get("conditions") or ()
    told = {condition["type"] for condition in conditions if condition["status"] == "True"}
    return bool(taints & NOTICE_TAINTS or told & NOTICE_CONDITIONS)


@dataclass(frozen=True)
class ListResult:
    """A list as the API gave it at one moment."""

    bodies: list[Body]
    version: str
    """Resource version of the list: what is newer can't be in it."""
    namespace: str | None = None
    """None: of all namespaces."""

    def should_hold(self, body: Body) -> bool:
        """Return whether the list would hold the object if it were still there."""
        same = self.namespace in (None, body["metadata"].get("namespace"))
        return same and (not self.version or version_of(body) <= int(self.version))


class Store:
    """The cache. Methods that take something in return the keys that it concerns; nothing new concerns nobody."""

    def __init__(self) -> None:
        self._own: dict[ObjectKey, Own] = {}
        self._key_of_uid: dict[str, ObjectKey] = {}
        self._children: defaultdict[str, dict[ChildId, Kept]] = defaultdict(dict)
        self._owner_of: dict[ChildId, str] = {}
        self._pods: dict[ChildId, None] = {}
        """In the order of their coming; a set would do."""
        self._namesakes: defaultdict[ObjectKey, set[str]] = defaultdict(set)
        """By what an object is called: the uids that children name as its own, those of deleted ones too."""
        self._called: dict[str, ObjectKey] = {}
        """The reverse."""
        self.generation = 0
        """Rises whenever `pods` or `every_s` may answer otherwise: who asks often need not look through all of them."""
        self._followers: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._outputs = Outputs()
        self._deployments = 0
        self._peers: set[ObjectKey] = set()
        """Deployments that take up another runtime, or wait to."""
        self._noticed: set[str] = set()
        self.told = Told()
        self._read: OrderedDict[Kept, Body] = OrderedDict()

    # Our own kinds --------------------------------------------------------------------------------------------

    def put(self, body: Body) -> set[ObjectKey]:
        """Take in one of our own objects."""
        key = key_of(body)
        old = self._own.get(key)
        if old is not None and not old.is_older(body):
            return set()
        new = Own(body)
        self.generation += old is None or (old.uid, old.every_s) != (new.uid, new.every_s)
        self._follow(key, old, new)
        self._place(old, new)
        self._deployments += old is None and key.kind == names.KIND_DEPLOYMENT
        (self._peers.discard if new.peer is None else self._peers.add)(key)
        self._own[key] = new
        self._key_of_uid[new.uid] = key
        is_told = old is None or (old.uid, old.tells) != (new.uid, new.tells)
        return {key, *self._followers.get(key, ())} if is_told else {key}

    def drop(self, body: Body) -> set[ObjectKey]:
        """One of our own objects is gone; a namesake made since stays."""
        key = key_of(body)
        old = self._own.get(key)
        if old is None or old.uid != body["metadata"]["uid"]:
            return set()
        self.generation += 1
        self._follow(key, old, None)
        self._place(old, None)
        self._deployments -= key.kind == names.KIND_DEPLOYMENT
        self._peers.discard(key)
        del self._own[key]
        self._key_of_uid.pop(old.uid, None)
        return {key, *self._followers.get(key, ())}

    def replace(self, kind: str, listed: ListResult) -> set[ObjectKey]:
        """A fresh list of one of our kinds: take it in, drop what is not in it and no newer."""
        there = {key_of(body) for body in listed.bodies}
        concerned: set[ObjectKey] = set()
        for key, old in list(self._own.items()):
            if key.kind == kind and key not in there and listed.should_hold(old.body):
                concerned |= self.drop(old.body)
        for body in listed.bodies:
            concerned |= self.put(body)
        return concerned

    def get(self, key: ObjectKey) -> Body | None:
        """Return one of our own objects as last seen."""
        kept = self._own.get(key)
        return None if kept is None else self._body(kept)

    def kept(self) -> list[tuple[ObjectKey, Own]]:
        """Return our own objects unread. May be called, and they be read, in any thread."""
        return list(self._own.items())

    def priority(self, key: ObjectKey, is_echo: bool = False) -> Priority:
        """Return how soon a key is to be seen that an event concerns; one that is gone is cleaned up after.

        ``is_echo``: the event is about one of our own objects. Once it is answered that is mostly what we wrote
        ourselves, and can wait: in a burst each first status would else wake its object before the next one's turn.
        """
        kept = self._own.get(key)
        priority = Priority.EVENT if kept is None else kept.priority
        return Priority.LATER if is_echo and priority is Priority.EVENT else priority

    def every_s(self, key: ObjectKey) -> float:
        """Return how often an object wants its metrics."""
        kept = self._own.get(key)
        return DEFAULT_INTERVAL_S if kept is None else kept.every_s

    def known(self) -> list[ObjectKey]:
        """All of our own objects."""
        return list(self._own)

    def followed_by(self, body: Object) -> Body | None:
        """Return the TrainingRun that a ModelDeployment follows, if it is there."""
        run = followed_of(body)
        return None if run is None else self.get(run)

    def neighbours_of(self, key: ObjectKey) -> Sequence[Neighbour]:
        """Return the TrainingRuns that are not over and have a run's output, it among them, the oldest first."""
        kept = self._own.get(key)
        return () if kept is None else self._outputs.of(kept.output)

    def is_alone(self, key: ObjectKey) -> bool:
        """Return whether there is no other ModelDeployment."""
        return self._deployments - (key in self._own) <= 0

    def peers_of(self, key: ObjectKey) -> tuple[PeerDeployment, ...]:
        """Return the other deployments that take up another runtime, or wait to."""
        found = (self._own[other].peer for other in self._peers if other != key)
        return tuple(peer for peer in found if peer is not None)

    # Children -------------------------------------------------------------------------------------------------

    def put_child(self, body: Body) -> set[ObjectKey]:
        """Take in an object that carries our owner label."""
        owner = body["metadata"].get("labels", {}).get(names.LABEL_OWNER_UID, "")
        identity = child_id(body)
        before = self._owner_of.get(identity)
        old = self._children[before].get(identity) if before is not None else None
        if old is not None and not old.is_older(body):
            return set()
        if before is not None and before != owner:
            self._forget(identity)
        self._owner_of[identity] = owner
        if body["kind"] == "Pod":
            self._pods[identity] = None
            self.generation += 1
        self._children[owner][identity] = Kept(body)
        self._called[owner] = called = _called(body)
        self._namesakes[called].add(owner)
        return self._owners(before, owner)

    def drop_child(self, body: Body) -> set[ObjectKey]:
        """An object with our owner label is gone, or lost the label."""
        identity = child_id(body)
        owner = self._owner_of.get(identity)
        if owner is None or self._children[owner][identity].uid != body["metadata"]["uid"]:
            return set()
        self._forget(identity)
        return self._owners(owner)

    def replace_children(self, api_version: str, kind: str, listed: ListResult) -> set[ObjectKey]:
        """A fresh list of one kind of children: take it in, drop what is not in it and no newer."""
        there = {child_id(body) for body in listed.bodies}
        concerned: set[ObjectKey] = set()
        for identity, owner in list(self._owner_of.items()):
            if identity[:2] != (api_version, kind) or identity in there:
                continue
            old = self._children[owner][identity].body
            if listed.should_hold(old):
                concerned |= self.drop_child(old)
        for body in listed.bodies:
            concerned |= self.put_child(body)
        return concerned

    def children_of(self, uid: str) -> Mapping[ChildId, Body]:
        """Return the children of an object by the uid in their label."""
        return {identity: self._body(kept) for identity, kept in self._children.get(uid, {}).items()}

    def child(self, identity: ChildId) -> Body | None:
        """Return an object with our owner label, whoever it belonged to."""
        owner = self._owner_of.get(identity)
        return None if owner is None else self._body(self._children[owner][identity])

    def pods(self) -> Iterator[tuple[ObjectKey, Body]]:
        """Every pod with the key of its owner, where the owner is known."""
        for identity in self._pods:
            owner = self._owner_of[identity]
            key = self._key_of_uid.get(owner)
            if key is not None:
                yield key, self._children[owner][identity].body

    def pods_of_namesakes(self, key: ObjectKey, uid: str) -> list[Body]:
        """Return the pods of objects that were called so before this one."""
        others = self._namesakes.get(key, set()) - {uid}
        known = [kept for other in others for kept in self._children.get(other, {}).items()]
        return [self._body(kept) for identity, kept in sorted(known) if identity[1] == "Pod"] if known else []

    # Events about children -------------------------------------------------------------------------------------

    def put_event(self, body: Body) -> set[ObjectKey]:
        """Take in an event; the newest of each reason about an object is kept."""
        about = body.get("involvedObject") or {}
        if not self.told.put(body):
            return set()
        identity = (about.get("apiVersion", ""), about.get("kind", ""), about.get("namespace", ""))
        return self._owners(self._owner_of.get((*identity, about.get("name", ""))))

    def drop_event(self, body: Body) -> set[ObjectKey]:
        """An event ran out; what it said stays true until somebody says otherwise."""
        self.told.drop(body)
        return set()

    def told_of(self, child: Object) -> Mapping[str, Body]:
        """Return the newest event of each reason about a child."""
        return self.told.of(child["metadata"]["uid"])

    # Nodes ----------------------------------------------------------------------------------------------------

    def put_node(self, body: Body) -> set[ObjectKey]:
        """Take in a node: only whether it was given notice is kept."""
        name, noticed = body["metadata"]["name"], has_notice(body)
        if noticed == (name in self._noticed):
            return set()
        (self._noticed.add if noticed else self._noticed.discard)(name)
        return self._on_node(name)

    def drop_node(self, body: Body) -> set[ObjectKey]:
        """A node is gone: its pods answer nobody, though they say so until somebody collects them a minute later."""
        name = body["metadata"]["name"]
        concerned = self._on_node(name)
        (self._noticed.add if concerned else self._noticed.discard)(name)
        return concerned

    def replace_nodes(self, bodies: Iterable[Body]) -> set[ObjectKey]:
        """A fresh list of the nodes."""
        listed = {body["metadata"]["name"]: body for body in bodies}
        self._noticed = {name for name in self._noticed if name in listed or self._on_node(name)}
        concerned: set[ObjectKey] = set()
        for body in listed.values():
            concerned |= self.put_node(body)
        return concerned

    def is_noticed(self, node: str) -> bool:
        """Return whether the node was given notice, or is gone."""
        return node in self._noticed

    def _on_node(self, name: str) -> set[ObjectKey]:
        return {key for key, child in self.pods() if child.get("spec", {}).get("nodeName") == name}

    # -----------------------------------------------------------------------------------------------------------

    def _body(self, kept: Kept) -> Body:
        body = self._read.get(kept)
        if body is None:
            body = self._read[kept] = kept.body
            if len(self._read) > MAX_READ:
                self._read.popitem(last=False)
        return body

    def _owners(self, *uids: str | None) -> set[ObjectKey]:
        return {self._key_of_uid[uid] for uid in uids if uid in self._key_of_uid}

    def _forget(self, identity: ChildId) -> None:
        owner = self._owner_of.pop(identity)
        if identity in self._pods:
            del self._pods[identity]
            self.generation += 1
        del self._children[owner][identity]
        if not self._children[owner]:
            del self._children[owner]
            called = self._called.pop(owner)
            self._namesakes[called].discard(owner)
            if not self._namesakes[called]:
                del self._namesakes[called]

    def _place(self, old: Own | None, new: Own | None) -> None:
        if old is not None and old.neighbour is not None:
            self._outputs.drop(old.output, old.neighbour)
        if new is not None and new.neighbour is not None:
            self._outputs.put(new.output, new.neighbour)

    def _follow(self, key: ObjectKey, old: Own | None, new: Own | None) -> None:
        before, after = None if old is None else old.followed, None if new is None else new.followed
        if before is not None and before != after:
            self._followers[before].discard(key)
        if after is not None:
            self._followers[after].add(key)
