"""What the renderer is given of a group and of its messages: the same from the dispatcher and for a preview."""

from __future__ import annotations

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.queue.schema import QueuedMessage, SharedInfo


def group_content(shared: SharedInfo) -> renderer_pb2.GroupContent:
    """Of a group, without pinned versions."""
    return renderer_pb2.GroupContent(
        group_id=shared.group_id,
        company_code=shared.company_code,
        outer_template=shared.outer_template,
        inner_template=shared.inner_template,
        subject_template=shared.subject_template,
        context=bytes(shared.context),
        missing_variables=shared.missing_variables,
        tags=shared.tags,
    )


def message_content(message: QueuedMessage, unsubscribe_url: str) -> renderer_pb2.MessageContent:
    """Of one of its messages; `unsubscribe_url` is empty where it has none."""
    content = renderer_pb2.MessageContent(
        id=message.id,
        address=message.address,
        first_name=message.first_name,
        last_name=message.last_name,
        user_link=message.user_link,
        tags=message.tags,
        context=bytes(message.context),
        unsubscribe_url=unsubscribe_url,
    )
    for pdf in message.pdfs:
        content.pdf_attachments.add(name=pdf.name, html=pdf.html)
    for file in message.files:
        content.stored_attachments.add(path=file.path, name=file.name)
    return content
