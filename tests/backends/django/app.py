"""A Django site in one file: pages that take 500 ms and write one line to RENDER_LOG when their render starts."""

import itertools
import os
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="nothing here is secret",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)

renders = itertools.count(1)


def page(title, text):
    return HttpResponse(f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1><p>{text}</p></html>")


@csrf_exempt
def slow(request, number):
    """Half a second of work. A POST stands for an edit of what the page shows."""
    if request.method == "POST":
        return HttpResponse(status=204)
    # One write of one line in append mode is whole, also when several workers write.
    with open(os.environ["RENDER_LOG"], "a", encoding="ascii") as log:
        log.write(f"{time.time_ns() // 1_000_000} {request.path}\n")
    time.sleep(0.5)
    return page(f"Page {number}", f"render={os.getpid()}.{next(renders)}")


def about(request):
    return page("About", "This page is the same for everybody.")


urlpatterns = [path("slow/<int:number>", slow), path("about", about)]
application = get_wsgi_application()
