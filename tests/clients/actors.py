"""gRPC of Python against the actor API at ADDRESS, whose atespace `crowd` has COUNT actors; run by tests/actor_api/python.rs.

The messages are made by protoc from the proto file. What is checked of them here, by number, is what other clients rely on.
"""

import sys

import ateapi_pb2 as pb
import ateapi_pb2_grpc
import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, count = sys.argv[1], int(sys.argv[2])

# Message: fields in the order of their numbers; `=N` sets the number of the next one.
ACTOR_REF = "actor_ref:ActorRef"
TABLE = {
    "ActorRef": "atespace:string name:string",
    "Actor": "actor_id:string version:int64 actor_template_namespace:string actor_template_name:string "
    "status:Status ateom_pod_namespace:string ateom_pod_name:string ateom_pod_ip:string =10 "
    "in_progress_snapshot:string ateom_pod_uid:string latest_snapshot_info:SnapshotInfo "
    "worker_selector:Selector worker_pool_name:string atespace:string",
    "SnapshotInfo": "type:SnapshotType external:ExternalSnapshotInfo local:LocalSnapshotInfo",
    "ExternalSnapshotInfo": "snapshot_uri_prefix:string",
    "LocalSnapshotInfo": "snapshot_prefix:string node_vms_with_local_snapshots:string*",
    "Selector": "match_labels:MatchLabelsEntry*",
    "Atespace": "name:string",
    "Worker": "worker_namespace:string worker_pool:string worker_pod:string actor_namespace:string "
    "actor_template:string actor_id:string ip:string version:int64 worker_pod_uid:string node_name:string "
    "actor_atespace:string",
    "CreateActorRequest": ACTOR_REF
    + " actor_template_namespace:string actor_template_name:string worker_selector:Selector",
    "UpdateActorRequest": ACTOR_REF + " worker_selector:Selector",
    "ResumeActorRequest": ACTOR_REF + " boot:bool",
    "GetActorRequest": ACTOR_REF,
    "SuspendActorRequest": ACTOR_REF,
    "PauseActorRequest": ACTOR_REF,
    "DeleteActorRequest": ACTOR_REF,
    "GetActorResponse": "actor:Actor",
    "CreateActorResponse": "actor:Actor",
    "UpdateActorResponse": "actor:Actor",
    "SuspendActorResponse": "actor:Actor",
    "PauseActorResponse": "actor:Actor",
    "ResumeActorResponse": "actor:Actor",
    "DeleteActorResponse": "",
    "ListActorsRequest": "page_size:int32 page_token:string atespace:string",
    "ListActorsResponse": "actors:Actor* next_page_token:string",
    "ListWorkersRequest": "",
    "ListWorkersResponse": "workers:Worker*",
    "CreateAtespaceRequest": "name:string",
    "GetAtespaceRequest": "name:string",
    "DeleteAtespaceRequest": "name:string",
    "ListAtespacesRequest": "",
    "CreateAtespaceResponse": "atespace:Atespace",
    "GetAtespaceResponse": "atespace:Atespace",
    "ListAtespacesResponse": "atespaces:Atespace*",
    "DeleteAtespaceResponse": "",
    "DebugClearRequest": "",
    "DebugClearResponse": "",
}
SCALARS = {"string": 9, "int64": 3, "int32": 5, "bool": 8}
METHODS = (
    "GetActor CreateActor UpdateActor SuspendActor PauseActor ResumeActor DeleteActor ListWorkers ListActors "
    "CreateAtespace GetAtespace ListAtespaces DeleteAtespace DebugClear"
).split()


def check_message(message, row):
    number, expected = 1, {}
    for word in row.split():
        if word.startswith("="):
            number = int(word[1:])
            continue
        name, kind = word.split(":")
        expected[number] = (name, kind.rstrip("*"), kind.endswith("*"))
        number += 1
    found = {}
    for field in message.fields:
        named = field.message_type or field.enum_type
        kind = named.name if named else next(kind for kind, type in SCALARS.items() if type == field.type)
        found[field.number] = (field.name, kind, field.is_repeated)
    assert found == expected, (message.name, found, expected)


def check_file(file):
    assert file.package == "ateapi"
    assert set(file.message_types_by_name) == set(TABLE), file.message_types_by_name.keys() ^ TABLE.keys()
    for name, row in TABLE.items():
        check_message(file.message_types_by_name[name], row)
    states = ["UNSPECIFIED", "RESUMING", "RUNNING", "SUSPENDING", "SUSPENDED", "PAUSING", "PAUSED"]
    status = file.message_types_by_name["Actor"].enum_types_by_name["Status"]
    assert [(value.number, value.name) for value in status.values] == [
        (number, f"STATUS_{state}") for number, state in enumerate(states)
    ]
    kinds = [(value.number, value.name) for value in file.enum_types_by_name["SnapshotType"].values]
    assert kinds == [
        (number, f"SNAPSHOT_TYPE_{kind}") for number, kind in enumerate(["UNSPECIFIED", "LOCAL", "EXTERNAL"])
    ]
    info = file.message_types_by_name["SnapshotInfo"]
    assert [field.number for field in info.oneofs_by_name["data"].fields] == [2, 3]
    labels = file.message_types_by_name["Selector"].fields_by_name["match_labels"].message_type
    assert labels.GetOptions().map_entry and [field.type for field in labels.fields] == [9, 9]
    service = file.services_by_name["Control"]
    assert sorted(method.name for method in service.methods) == sorted(METHODS)
    for method in service.methods:
        assert method.input_type.name == method.name + "Request"
        assert method.output_type.name == method.name + "Response"
        assert not method.client_streaming and not method.server_streaming


def refused(code, part, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code and part in error.details(), (error.code(), error.details())
    else:
        raise AssertionError(f"{code} was expected")


channel = grpc.insecure_channel(address)
control = ateapi_pb2_grpc.ControlStub(channel)

# The file that we were made from, and the one that the server shows.
check_file(pb.DESCRIPTOR)
shown = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
check_file(shown.FindServiceByName("ateapi.Control").file)
assert shown.FindServiceByName("grpc.health.v1.Health").methods_by_name.keys() == ["Check", "Watch"]

# All pages
for size in (0, 7, 1000, 5000):
    names, token, pages = [], "", 0
    while True:
        page = control.ListActors(pb.ListActorsRequest(page_size=size, page_token=token, atespace="crowd"), timeout=30)
        assert len(page.actors) <= (size or 100) and len(page.actors) <= 1000
        names += [actor.actor_id for actor in page.actors]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert sorted(names) == sorted(f"a-{number}" for number in range(count)), size
refused(grpc.StatusCode.INVALID_ARGUMENT, "page_size", lambda: control.ListActors(pb.ListActorsRequest(page_size=-1)))
refused(
    grpc.StatusCode.INVALID_ARGUMENT, "page_token", lambda: control.ListActors(pb.ListActorsRequest(page_token="forged"))
)

# A whole life
ref = pb.ActorRef(atespace="team", name="a")
get = lambda: control.GetActor(pb.GetActorRequest(actor_ref=ref)).actor
assert control.CreateAtespace(pb.CreateAtespaceRequest(name="team")).atespace.name == "team"
refused(
    grpc.StatusCode.ALREADY_EXISTS, "team", lambda: control.CreateAtespace(pb.CreateAtespaceRequest(name="team"))
)
assert control.GetAtespace(pb.GetAtespaceRequest(name="team")).atespace.name == "team"
assert [one.name for one in control.ListAtespaces(pb.ListAtespacesRequest()).atespaces] == ["team"]
refused(grpc.StatusCode.NOT_FOUND, "team/a", get)
create = pb.CreateActorRequest(actor_ref=ref, actor_template_namespace="default", actor_template_name="counter")
made = control.CreateActor(create).actor
assert made.status == pb.Actor.STATUS_SUSPENDED and made.version == 1 and get() == made
selector = pb.Selector(match_labels={"node": "n2"})
updated = control.UpdateActor(pb.UpdateActorRequest(actor_ref=ref, worker_selector=selector)).actor
assert updated.version == 2 and dict(updated.worker_selector.match_labels) == {"node": "n2"}
running = control.ResumeActor(pb.ResumeActorRequest(actor_ref=ref)).actor
assert running.status == pb.Actor.STATUS_RUNNING and running.ateom_pod_name == "w2"
workers = {worker.worker_pod: worker for worker in control.ListWorkers(pb.ListWorkersRequest()).workers}
assert workers["w2"].actor_id == "a" and workers["w2"].actor_atespace == "team" and workers["w1"].actor_id == ""
delete = lambda: control.DeleteActor(pb.DeleteActorRequest(actor_ref=ref))
refused(grpc.StatusCode.FAILED_PRECONDITION, "suspend it first", delete)
paused = control.PauseActor(pb.PauseActorRequest(actor_ref=ref)).actor
assert paused.status == pb.Actor.STATUS_PAUSED
assert paused.latest_snapshot_info.WhichOneof("data") == "local"
assert list(paused.latest_snapshot_info.local.node_vms_with_local_snapshots) == ["n2"]
assert control.ResumeActor(pb.ResumeActorRequest(actor_ref=ref, boot=True)).actor.status == pb.Actor.STATUS_RUNNING
suspended = control.SuspendActor(pb.SuspendActorRequest(actor_ref=ref)).actor
assert suspended.status == pb.Actor.STATUS_SUSPENDED and suspended.ateom_pod_name == ""
assert suspended.latest_snapshot_info.type == pb.SNAPSHOT_TYPE_EXTERNAL
assert get() == suspended
delete_space = lambda: control.DeleteAtespace(pb.DeleteAtespaceRequest(name="team"))
refused(grpc.StatusCode.FAILED_PRECONDITION, "has actors", delete_space)
delete()
delete_space()
refused(grpc.StatusCode.NOT_FOUND, "team", delete_space)
refused(
    grpc.StatusCode.PERMISSION_DENIED, "--allow-debug-clear", lambda: control.DebugClear(pb.DebugClearRequest())
)
