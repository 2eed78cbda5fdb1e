"""Images and movies without their noise, learned from the noise itself, no clean data.   doi:10.1109/CVPR.2019.00223"""

from micrograph.core import Task
from micrograph.features.restored import RESTORED, STRETCHES, SUMMARY, RestoredSummary, RestoredTables
from micrograph.infer.restoring import Denoiser
from micrograph.nets import NoNet
from micrograph.run import Recipe

RECIPE = Recipe(
    name="denoise",
    title="Denoised images and movies",
    task=Task(
        question="What does an image or a movie show without its noise, and how sure is each pixel of it?",
        needs=(),
        answers={"objects": STRETCHES, "frames": RESTORED, "summary": SUMMARY},
        reference="doi:10.1109/CVPR.2019.00223",
    ),
    data=Denoiser(),
    model=NoNet(),
    objects=RestoredTables(),
    summary=RestoredSummary(),
    images=("denoised",),
)
